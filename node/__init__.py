"""A nation's node: it takes, logs and passes on sealed messages.

It never imports the desk, and never sees the content of a message.
"""
