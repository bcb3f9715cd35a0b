"""What all parts of one open desk share: its keys, its store, its clock, its thread, and messages already parsed.

It never decides anything, and does not know who acts: an officer comes and goes while the desk is open."""
