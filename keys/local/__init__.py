"""What lies on this machine: files that people give, and what this machine keeps; what both programs say to people.

Nothing here talks to another machine, or decides whether what a file says is true.
"""
