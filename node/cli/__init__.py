"""The operator's command: ``comity-node``.

It never decides what is allowed: each rule stands in the room that it is about.
"""
