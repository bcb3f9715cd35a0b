"""The message types, one file each.

It never reads bytes: :mod:`protocol.messages.parse` does.
"""
