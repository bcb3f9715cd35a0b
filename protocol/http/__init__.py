"""What desk and node say to each other over HTTP: signed requests, bodies, refusals.

It never opens a connection: :mod:`keys.transport` does.
"""
