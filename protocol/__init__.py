"""The wire and the rules, as functions of bytes and values: envelope, messages, lifecycles, log, proofs.

It never opens a file, a connection or a clock: what it needs is given to it.
"""
