"""A log that lied: proofs of it, as files that anyone can verify (docs/misbehaviour.md)."""
