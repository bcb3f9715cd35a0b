"""One office's desk, opened: its parts put together, its queries, its watch.

It never talks to a terminal."""
