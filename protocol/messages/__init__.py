"""What contact points say to each other: typed messages in JSON, inside the seal. A type is one module and one line in
the registry.

It never seals, sends or stores a message.
"""
