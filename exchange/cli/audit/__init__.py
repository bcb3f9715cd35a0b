"""Commands of auditors: mirror, verify, trace, reconcile, prove, report.

They never judge a log themselves: :mod:`exchange.audit` does.
"""
