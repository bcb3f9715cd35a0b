"""How a member's programs reach a node: one client, which signs, pins TLS and judges addresses before it connects.

It never decides whom to trust: the certificates to pin and the keys that count come from the directory.
"""
