"""One office's desk, opened: its parts, a file for each kind of act; its watch; a new desk, and its keys.

It never talks to a terminal."""
