"""The ``comity`` command: a desk and an auditor in a terminal."""
