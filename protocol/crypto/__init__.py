"""The only doors to ``cryptography`` and PyNaCl: signatures, sealing to a key, COSE.

It never decides whose key counts, and keeps no key."""
