"""A new request, from the nations it goes to until it is sent.

It never sends twice.
"""
