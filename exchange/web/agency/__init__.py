"""The agency says who an officer is (OpenID Connect Core 1.0), and opens nothing: the officer's passphrase does.

Its tokens are read, held to what was asked, and forgotten.
"""
