"""The auditor's view: verified mirrors of logs in a browser, read and never changed.

It opens no envelope, decides nothing of a log beyond what the audit found, and says wherever a mirror is partial.
"""
