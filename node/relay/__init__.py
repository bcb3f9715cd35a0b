"""Messages and receipts on their way: taken in, passed on, pulled, carried by hand, expired.

It never sees content, and never lets an envelope go without proof that another has it.
"""
