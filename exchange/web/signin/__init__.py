"""Signing in and out in a browser: passphrases, one-time codes, passkeys, and the sessions that they begin.

No passphrase, code or key is kept.
"""
