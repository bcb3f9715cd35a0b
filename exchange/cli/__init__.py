"""The ``comity`` command: a desk and an auditor in a terminal.

It never decides what is allowed: each rule stands in the room that it is about, for every way in.
"""
