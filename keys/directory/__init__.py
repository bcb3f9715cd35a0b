"""The signed directory as a value: who is a member, whose keys count when, who may read what.

It never fetches and never verifies a file's signature: :mod:`keys.directory.metadata` does.
"""
