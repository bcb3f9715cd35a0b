"""Evidence files of this node carried by hand: out of its store into a folder, and back.

It never believes what a folder says of itself: each segment proves itself, or is refused.
"""
