"""The SQLite store: one writing connection, readers on threads of their own.

It never leaves a batch half applied."""
