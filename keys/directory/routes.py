"""The way of a message between nodes, derived from the directory alone: everyone computes the same one.

Rules (docs/protocol.md, routes):
1. A node whose card names a relay is reached through that relay and sends through it; any other node is reached
   directly.
2. From a node up its relays, across to the recipient's side, down its relays; where both sides share a relay the way
   turns there. So no node occurs twice, and the way back is the same one reversed.
3. A way has at most :data:`MAX_HOPS` hops.

4. Files pass only where the cards of the nodes and of the recipient's desk say that they do, and only by nodes that the
   sender's nation names, if it names any.

Nothing of a route stands in the signed envelope: a node that is handed one computes where it must have come from and
where it goes on to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from keys.directory.view import Directory
from protocol.address import Address
from protocol.errors import FileNotSupportedError, RelayLoopError, TooManyHopsError
from protocol.files.file_list import FileSet

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


def require_files(
    directory: Directory, sender: Address, recipients: Iterable[Address], files: FileSet, at: datetime
) -> None:
    """Return if the files can go from the sender to each recipient; raises :class:`FileNotSupportedError`, which says
    who cannot take them, and as :func:`node_path` and :meth:`Directory.contact_point`.

    Each node on the way and each desk says so on its card, which its nation signed; and the files pass only by nodes
    that the sender's nation names, if it names any.
    """
    source = directory.contact_point(sender).served_by(at)
    found = [cannot for one in recipients for cannot in _cannot(directory, sender, source, one, files, at)]
    if found:
        raise FileNotSupportedError("; ".join(dict.fromkeys(found)))


def _cannot(
    directory: Directory, sender: Address, source: str, recipient: Address, files: FileSet, at: datetime
) -> Iterator[str]:
    desk = directory.contact_point(recipient)
    taken = desk.files
    if taken is None or not taken.takes(files):
        yield _reason(f"the desk of {recipient}", None if taken is None else taken.max_total_bytes, files)
    way = node_path(directory, source, desk.served_by(at))
    for node in way:
        card = directory.node(node).files
        if card is None or not card.takes(files):
            yield _reason(f"the node {node}", None if card is None else card.max_total_bytes, files)
    own = directory.node(sender.node).files
    if own is not None and own.through is not None:
        for node in way[1:-1]:
            if node not in own.through:
                yield f"files of {sender.node} may not pass by {node}"


def _reason(who: str, most: int | None, files: FileSet) -> str:
    if most is None or files.total_bytes <= most:
        return f"{who} takes no files that are sealed as this program seals them"
    return f"{who} takes files of at most {most} bytes together, and these have {files.total_bytes}"


def _relays(directory: Directory, node: str) -> list[str]:
    """The node, its relay, that one's relay and so on."""
    chain = [node]
    while (relay := directory.node(chain[-1]).relay) is not None:
        if relay in chain:
            raise RelayLoopError(f"the relays of {node} lead back to {relay}")
        chain.append(relay)
    return chain
