"""Templates that come with the program, one JSON file each.

They never hold a declaration: an officer makes it.
"""
