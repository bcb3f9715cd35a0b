"""What an operator watches of a running node: its disk and its clock.

Never decides what a message or a receipt is worth; it says what is wrong with this machine, and where.
"""
