"""The node's listeners and the connections that they hold: who may connect, for how long, and who goes first.

Nothing here knows what a request asks for; that begins in :mod:`node.http.app`."""
