"""Values in the reader's language, and texts that people write, read into plain values.

It never stores and never sends."""
