"""Letters: a message or a case as a formal letter, and as a copy for a court with parts removed.

It never reads a store and never sends; it is given what is shown."""
