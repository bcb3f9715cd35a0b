"""Sealed files on their way: their segments kept, told of, passed on, handed over and let go.

It never sees a key or a name that a person gave, and never serves a file by its name alone.
"""
