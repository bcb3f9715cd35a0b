"""Identities, secrets and the directory: who a member is here, and whom it may believe.

It never moves a message: nodes and desks do.
"""
