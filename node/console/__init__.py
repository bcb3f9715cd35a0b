"""The operator's console, on the node's admin address: is it well, and if not what to do, in words first.

It never shows content, and decides nothing of messages; each act is one that a command does too.
"""
