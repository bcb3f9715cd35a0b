"""The transparency log: RFC 6962 trees, and checkpoints, tiles, proofs and witnesses as C2SP specifies them."""
