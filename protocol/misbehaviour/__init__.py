"""A log that lied: proofs of it, as files that anyone can verify (docs/misbehaviour.md).

It never believes who brings one, and never decides what follows from it.
"""
