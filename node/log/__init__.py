"""This node's own log: the one writer, its clock, what is kept of it outside the database, its export.

It never looks into other logs, and never signs a tree that does not extend what it signed before.
"""
