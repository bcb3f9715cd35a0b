"""Peers: what others run for the same task, each in an environment of its own under ``.cache/peers``.

A peer never listens beyond loopback, and leaves nothing running.
"""
