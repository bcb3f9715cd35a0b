"""A seeded mutation run over the security core: removes one guard at a time and asks whether a test notices.

It never changes the checkout: every worker mutates a copy of its own.
"""
