"""The way of a message between nodes, derived from the directory alone: everyone computes the same one.

Rules (docs/protocol.md, routes):
1. A node whose card names a relay is reached through that relay and sends through it; any other node is reached
   directly.
2. From a node up its relays, across to the recipient's side, down its relays; where both sides share a relay the way
   turns there. So no node occurs twice, and the way back is the same one reversed.
3. A way has at most :data:`MAX_HOPS` hops.

Nothing of a route stands in the signed envelope: a node that is handed one computes where it must have come from and
where it goes on to.
"""

from __future__ import annotations

from keys.directory.view import Directory
from protocol.errors import RelayLoopError, TooManyHopsError

MAX_HOPS = 4


def node_path(directory: Directory, source: str, destination: str) -> tuple[str, ...]:
    """The nodes from ``source`` to ``destination``, both included.

    Raises :class:`UnknownNodeError`, :class:`RelayLoopError` or :class:`TooManyHopsError`.
    """
    up, down = _relays(directory, source), _relays(directory, destination)
    turn = next((node for node in up if node in down), None)
    across = (up, down) if turn is None else (up[: up.index(turn)], down[: down.index(turn) + 1])
    path = [*across[0], *reversed(across[1])]
    if len(path) - 1 > MAX_HOPS:
        raise TooManyHopsError(f"the way from {source} to {destination} has {len(path) - 1} hops; at most {MAX_HOPS}")
    return tuple(path)


def _relays(directory: Directory, node: str) -> list[str]:
    """The node, its relay, that one's relay and so on."""
    chain = [node]
    while (relay := directory.node(chain[-1]).relay) is not None:
        if relay in chain:
            raise RelayLoopError(f"the relays of {node} lead back to {relay}")
        chain.append(relay)
    return chain
