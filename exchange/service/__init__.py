"""The desk as a service: one process that owns a desk's home, its sessions, its sockets, and the commands it runs.

It never decides what an officer may do: each command runs as it does without the service, as the officer who gave it.
"""
