"""Commands about cases: the agenda, one case at a glance, duplicates, laws, tests of contact points.

They never write a message, but for tests of contact points and replies to them.
"""
