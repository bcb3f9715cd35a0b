"""A member's own steps: new keys, joining, rotation, a new log.

It never publishes: the ceremony does.
"""
