"""Long files on this machine's disk: past the system's cache where the disk takes them so, and else through it.

Nothing here knows what is in a file, or makes it durable.
"""
