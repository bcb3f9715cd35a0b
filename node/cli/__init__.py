"""The operator's command ``comity-node``, one module a kind of command.

It never holds a rule: what it does is done in the rooms below, for a running node as well.
"""
