"""Where the files of a nation may pass and rest, by the card of its node."""

from __future__ import annotations

from datetime import datetime

from keys.directory.cards import NodeFilesCard
from keys.directory.view import Directory
from node.peers.routes import require_exchange
from node.store.file_reads import FileHop
from protocol.address import Address
from protocol.errors import ComityError


def _card(sender: Address, directory: Directory) -> NodeFilesCard | None:
    return directory.node(sender.node).files if directory.has_node(sender.node) else None


def may_rest_at(own_node: str, sender: Address, directory: Directory) -> bool:
    """Whether files of ``sender`` may stay at this node longer than the hand-over takes."""
    card = _card(sender, directory)
    return own_node == sender.node or card is None or card.rest is None or own_node in card.rest


def may_pass_on(hop: FileHop, sender: Address, directory: Directory, at: datetime) -> bool:
    """Whether files of ``sender`` may go to this next node, for a recipient that still exchanges messages.

    A recipient's own node is where they go; any other stands between, and the sender's nation may name those that may.
    """
    card = _card(sender, directory)
    between = card is None or card.through is None or hop.party in card.through
    for recipient in hop.recipients:
        try:
            require_exchange(directory, recipient, at)
            if between or directory.serving_node(recipient, at) == hop.party:
                return True
        except ComityError:  # that one is not to get them any more; another may
            continue
    return False
