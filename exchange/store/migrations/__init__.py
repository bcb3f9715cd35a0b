"""The schema of a desk's database: numbered SQL files, applied once each.

A file never changes once it was published: the next number changes the schema.
"""
