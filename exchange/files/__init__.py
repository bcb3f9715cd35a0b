"""Evidence files: sealed on this desk's shelf, moved to and from the node in segments, opened for an officer.

It never decides what is sent or who may read it, and it opens no file to look at what is in it."""
