"""Ceremonies: a change of the directory is staged, reviewed by each holder, signed, and published once enough signed.

Nobody's machine believes what a file says of itself, and no signature is made over what was not shown.
"""
