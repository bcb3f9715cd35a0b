"""A node founds a new log under a new origin, because entries of its old one are lost for good.

The old log's keys are destroyed, and the card says where it ended: the size and root of the last checkpoint that
anybody is known to hold. Receipts of the old log stay good up to there; nobody can sign anything larger.
"""

from __future__ import annotations

import re
from datetime import datetime

from keys.directory.cards import LogCard, NodeCard, make_node_card
from keys.members.rotation import new_log_entries
from keys.secrets.keystore import Keystore, Purpose
from keys.secrets.token import Token
from protocol.errors import NewLogError
from protocol.log.checkpoint import Checkpoint

_GENERATION = re.compile(r"(.+)\.([1-9][0-9]{0,3})\Z")


def next_origin(origin: str) -> str:
    """The origin of the log that follows: ``net/jp``, ``net.2/jp``, ``net.3/jp`` and so on."""
    base, _, node = origin.rpartition("/")
    match = _GENERATION.match(base)
    name, generation = (match[1], int(match[2]) + 1) if match else (base, 2)
    return f"{name}.{generation}/{node}"


def make_new_log(keystore: Keystore, card: NodeCard, now: datetime, token: Token | None = None) -> str:
    """Replace the log's keys by new ones for the next origin, saved when this returns; the new origin.

    ``card`` is the published one. A repeat changes nothing. Raises :class:`NewLogError` when the keystore's log is
    neither the card's nor the one after it, and as :class:`KeystoreError`.
    """
    origin = next_origin(card.log.origin)
    present = keystore.entry(Purpose.LOG_ED25519).metadata.get("origin")
    if present == origin:
        return origin
    if present != card.log.origin:
        raise NewLogError(f"the keystore's log keys are for {present}, but the published card names {card.log.origin}")
    for entry in new_log_entries(card.node, origin, now, token):
        keystore.put(entry, replace=True)
    keystore.save()
    return origin


def closing_card(keystore: Keystore, card: NodeCard, final: Checkpoint, now: datetime) -> NodeCard:
    """``card``, the published one, with the new log, and with the old one closed at ``final``, its last checkpoint.

    Raises :class:`NewLogError` when ``final`` is not of the card's log.
    """
    if final.origin != card.log.origin:
        raise NewLogError(f"the last checkpoint is of {final.origin}, but the published card names {card.log.origin}")
    verifier = keystore.log_signer(next_origin(card.log.origin)).verifier
    fresh = LogCard(
        origin=verifier.origin, ed25519=verifier.ed25519_public, ml_dsa_44=verifier.mldsa_public, valid_from=now
    )
    end = {"final_size": final.size, "final_root": final.root}
    closed = [
        log.model_copy(update=end) if log.origin == final.origin and log.final is None else log
        for log in (card.log, *card.previous_logs)
    ]
    fields = {name: getattr(card, name) for name in type(card).model_fields}
    return make_node_card(**{**fields, "log": fresh, "previous_logs": tuple(closed), "updated_at": now})
