"""The people at the desk: officers, release by a second person, the rota, notes, the processing log, erasure.

It never reads the network."""
