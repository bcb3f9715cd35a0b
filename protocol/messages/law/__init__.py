"""What the law says of messages, as data with sources: which instruments are in force, which grounds refuse under them.

It never asks what one nation says of itself: legal profiles do.
"""
