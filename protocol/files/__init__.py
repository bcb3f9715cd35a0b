"""Evidence files as bytes: sealed in chunks, cut into segments that prove themselves, named, listed, opened.

It never reads or writes a file: it is given bytes, and gives bytes back.
"""
