"""Other nodes' logs: each newer checkpoint must extend the last, and a lie becomes a proof.

It never cosigns, and never believes a partner about another's log.
"""
