"""Signatures, sealing to a key and COSE, by ``cryptography`` and PyNaCl.

It never decides whose key counts, and keeps no key.
"""
