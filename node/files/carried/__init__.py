"""Evidence files of this node carried by hand: out of its store into a folder, and back.

The folder is never believed: each segment proves itself, or does not come in.
"""
