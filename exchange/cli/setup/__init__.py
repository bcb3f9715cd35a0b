"""Commands that set a desk up, search the directory, keep the keys, and exchange files where there is no network.

They never print a private key or a passphrase.
"""
