"""Evidence files from the officer's disk to the court: who had them, what proves it, and how they leave the desk.

It moves no file between desks, and decides nothing about a message.
"""
