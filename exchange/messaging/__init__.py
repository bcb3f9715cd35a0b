"""From draft to proved: what an office writes, offers, sends and gets.

It never reaches the network itself, and never decides who may act.
"""
