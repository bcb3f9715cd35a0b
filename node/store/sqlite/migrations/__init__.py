"""The SQLite schema, one numbered file per step.

A file that was released never changes.
"""
