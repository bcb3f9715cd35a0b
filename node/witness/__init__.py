"""Cosigning checkpoints (C2SP tlog-witness): for partners as a witness, and for this node from its witnesses.

It never cosigns what the monitor has not seen extend.
"""
