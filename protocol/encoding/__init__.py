"""Canonical bytes and plain values: how values are written, and how much of them is read before it is believed.

Nothing here opens a file or a connection, or knows what a value means.
"""
