"""Long files on this machine's disk: past the system's cache where the disk takes them so, and else through it."""
