"""Ceremonies at a holder: its own verified chain, the review of a change, the signature over what was shown.

Nothing here publishes: that is the registry's work. Nothing here needs a network.
"""
