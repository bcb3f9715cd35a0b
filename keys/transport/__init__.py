"""How a member's programs reach a node over the network: signed requests, and which addresses may be reached.

Never decides whom to trust: the certificates to pin and the keys that count come from the directory.
"""
