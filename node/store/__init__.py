"""Where a node keeps what it accepted: what is written, what can be read, and the promise of both.

It never judges what it is given: signatures, times and routes were checked before.
"""
