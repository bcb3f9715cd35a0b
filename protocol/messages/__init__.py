"""What contact points say to each other: typed messages in JSON, inside the seal.

Adding a type takes one module with its model and one line in :mod:`protocol.messages.registry`.
"""
