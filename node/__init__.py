"""The national node: it authenticates, stores, forwards, logs and reports.

It never sees what a message says: plaintext and desks' private keys exist at the desk only.
"""
