"""Programs that run without Comity. They import nothing of it, so that who distrusts it can read them alone.

They never open a connection, and write no file.
"""
