"""After a loss: backups, asking partners how far the log went, entries got back, a log that follows a lost one.

It never lets a node sign before its partners confirm.
"""
