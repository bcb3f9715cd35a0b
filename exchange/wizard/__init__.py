"""What an officer is asked for a message, step by step, and how what they paste becomes targets; pure.

It never draws, reads a key, opens a file or sends: the command line does, and so can a page."""
