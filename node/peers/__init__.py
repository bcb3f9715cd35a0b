"""Other nodes as this one sees them: their clients, the directory and its sources, and which way a message goes.

It never judges what they say.
"""
