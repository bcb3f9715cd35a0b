"""What a thread of messages means and what is due in it: cases, agenda, search, comparisons.

It never sends."""
