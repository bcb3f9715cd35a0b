"""The desk in a browser: pages that read without script, forms that act, and a board that follows what happens.

It decides nothing: each act is one of the desk's, which refuses what may not be done.
"""
