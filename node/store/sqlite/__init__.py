"""The SQLite store: one writing connection, readers on threads of their own.

It never leaves a batch half applied, and never shows a batch that was not released.
"""
