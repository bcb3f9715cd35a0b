"""Files of others before they are written or opened: their names made harmless, their bytes given to a scanner.

It never opens, unpacks, renders or runs what is in a file.
"""
