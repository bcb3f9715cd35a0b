"""What an operator watches of a running node: metrics, log lines, its disk, limits, background tasks.

It never decides what a message or a receipt is worth.
"""
