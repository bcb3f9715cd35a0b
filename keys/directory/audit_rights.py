"""What an auditor may read of a log: decided by whoever the log tells of, and never by the auditor's own card alone.

Rules:
1. An auditor's card says that it is one, and may narrow what it sees. It opens nothing in another nation's log.
2. In the log of its own nation an auditor reads everything: that nation signed its card.
3. In another nation's log it reads entries of messages from and to its own nation, unless that nation's node card says
   more (``all``, ``scoped``) or less (``nothing``).
4. An entry whose message's nations are not known is of no nation.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from keys.directory.cards import AuditScope, ContactPointCard, ForeignAuditor, Function, NodeCard
from protocol.errors import ForbiddenError


@dataclass(frozen=True, slots=True)
class AuditRight:
    """What one auditor may read of one log.

    ``narrowed``: what the auditor's own card leaves of it (None: all). ``nation``: the one whose messages are shown;
    None when those of every nation are. ``granted``: what is shown beside these.
    """

    narrowed: AuditScope | None
    nation: str | None
    granted: AuditScope | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing of the log is withheld."""
        return self.narrowed is None and self.nation is None

    def covers(self, at: datetime, message_id: UUID, nations: Set[str]) -> bool:
        """Whether an entry is shown that was logged at ``at`` about a message from and to these ``nations``."""
        if self.narrowed is not None and not self.narrowed.covers(at, message_id):
            return False
        if self.nation is None or self.nation in nations:
            return True
        return self.granted is not None and self.granted.covers(at, message_id)


def audit_right(log_of: NodeCard, auditor: ContactPointCard) -> AuditRight:
    """What ``auditor`` may read of the log of a node; raises :class:`ForbiddenError` when that is nothing."""
    if Function.AUDIT not in auditor.functions:
        raise ForbiddenError("log entries are for auditors")
    narrowed, node = auditor.audit_scope, log_of.node
    if narrowed is not None and not narrowed.names_node(node):
        raise ForbiddenError(f"this auditor's card does not name {node} among the nodes whose logs it may see")
    if auditor.address.node == node:
        return AuditRight(narrowed, None)
    named = _named(log_of, auditor)
    if named is None:
        return AuditRight(narrowed, auditor.address.node)
    if named.reads == "nothing":
        raise ForbiddenError(f"{node} does not let {auditor.address} read its log")
    return AuditRight(narrowed, None if named.reads == "all" else auditor.address.node, named.scope)


def _named(log_of: NodeCard, auditor: ContactPointCard) -> ForeignAuditor | None:
    return next((entry for entry in log_of.foreign_auditors if entry.auditor == auditor.address), None)
