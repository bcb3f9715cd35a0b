"""The desk's local API: resources over HTTP on a Unix socket, for programs of the desk's own system user.

It never decides what an officer may do: each request is an act of :class:`Desk`, as the officer who is signed in."""
