"""What an officer writes before it is sent: drafts, templates, targets, tables of other programs.

It never sends."""
