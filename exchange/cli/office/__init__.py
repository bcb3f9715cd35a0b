"""Commands about the office: officers, rota, processing log, erasure, report.

They never act without an officer where the office has registered one.
"""
