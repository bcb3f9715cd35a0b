"""Messages and receipts on their way: taken in, passed on, pulled, carried by hand, expired.

It never sees content."""
