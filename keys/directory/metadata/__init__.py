"""The directory's signed files (TUF): their names and rules, and the clients that fetch, verify and keep them.

It never says what a card means.
"""
