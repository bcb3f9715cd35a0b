"""The law between two nations: which bases are in force, and what that forbids to send.

It never decides what nobody stated: silence is told, and refuses nothing.
"""
