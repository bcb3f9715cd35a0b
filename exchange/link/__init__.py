"""The way to the nodes: clients, the desk's view of the directory, its worker thread, keys as they are now.

It never decides what is sent."""
