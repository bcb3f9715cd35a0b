"""The transparency log: RFC 6962 trees, and checkpoints, tiles, proofs and witnesses as C2SP specifies them.

It never knows what an entry says, and never keeps a log: it judges bytes.
"""
