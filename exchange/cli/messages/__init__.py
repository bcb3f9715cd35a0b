"""Commands about messages: write, send, read, answer, offer, pass on, search.

They never write a message past the desk, which checks and records it.
"""
