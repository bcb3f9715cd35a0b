"""Private keys at rest: the keystore file, and hardware tokens.

It never writes a secret outside them.
"""
