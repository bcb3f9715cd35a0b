"""``desk.parents``: what was asked of several nations, each of which knows of itself alone.

::

    sent = await desk.messages.send(draft)            # to 24-7@fr and 24-7@gh
    parent = await desk.parents.view(sent.id)         # the state with each nation
    await desk.parents.say(sent.id, "withdrawal", {"reason": "The account was closed."}, nations=["gh"])

A parent is known to this desk alone. Each child is a case of its own, with everything that a case has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from exchange.cases.parents import ParentView, parent_view, parent_with, resolved_parent
from exchange.cases.threads import unsent_state
from exchange.context.worker import in_desk_thread
from exchange.desk._once import done_once
from exchange.desk._works import Draft, Works
from exchange.desk.messages import DeskMessages
from exchange.messaging.once import claim_of
from exchange.office.draft_ids import draft_id_of, without_draft_id
from exchange.office.officers import Role
from exchange.store.rows import Parent
from exchange.views import SentMessage
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

# The fields that a reply has of its case, whatever a draft for all of them says.
_OF_ONE_CASE = frozenset({"to", "thread", "in_reply_to", "own_reference", "peer_reference", "previous_request"})


class DeskParents:
    """The parents of one desk."""

    def __init__(self, works: Works, messages: DeskMessages) -> None:
        self._works = works
        self._messages = messages
        self._context = works.context
        self._store = works.context.store
        self._in_thread = works.context.in_thread

    @in_desk_thread
    def resolve(self, text: str) -> UUID | None:
        """The parent that ``text`` stands for: an id, its beginning or end, or this office's reference; None for none.

        Raises :class:`UsageError` where several fit.
        """
        found = resolved_parent(self._store, text)
        return found.id if found is not None else None

    @in_desk_thread
    def of(self, thread: UUID) -> UUID | None:
        """The parent of the case in ``thread``; None for a case that stands alone."""
        found = self._store.parents.of(thread)
        return found.id if found is not None else None

    @in_desk_thread
    def all(self) -> list[ParentView]:
        """All parents with the state of each case, the newest first."""
        found = sorted(self._store.parents.all(), key=lambda parent: parent.made_at, reverse=True)
        return [self._view(parent) for parent in found]

    @in_desk_thread
    def page(self, *, limit: int, after: int = 0) -> tuple[list[ParentView], int]:
        """As :meth:`all`, ``limit`` of them without the first ``after``, and how many more there are."""
        found = sorted(self._store.parents.all(), key=lambda parent: parent.made_at, reverse=True)[after:]
        return [self._view(parent) for parent in found[:limit]], max(0, len(found) - limit)

    @in_desk_thread
    def view(self, parent_id: UUID) -> ParentView:
        """How the case with each nation stands; raises :class:`NotFoundError`."""
        return self._view(parent_with(self._store, parent_id))

    async def say(
        self,
        parent_id: UUID,
        reply_type: str,
        fields: Mapping[str, Any],
        *,
        nations: Collection[str] | None = None,
        at_once: bool = False,
    ) -> list[SentMessage]:
        """Say the same in the cases with these nations, or (None) in all: a message in each, in its own thread.

        They go at instants of their own, as the requests did; none to a nation whose request was called off. Without a
        key the ``draft_id`` of the fields is theirs: the same words are said once (:mod:`exchange.messaging.once`).

        Raises :class:`NotFoundError`, :class:`UsageError` for a nation that was not asked, and as
        :meth:`DeskMessages.send_many`; then nothing is sent in any of the cases.
        """
        works, own, fields = self._works, draft_id_of(fields), without_draft_id(fields)
        asked = [str(parent_id), reply_type, fields, sorted(nations) if nations is not None else None]

        said = dict(fields)

        def drafts() -> list[Draft]:
            parent = parent_with(self._store, parent_id)
            threads = [
                thread
                for thread in _threads(parent, nations)
                if nations is not None or unsent_state(self._store, thread) != "called_off"
            ]
            written = [self._draft(thread, reply_type, said) for thread in threads]
            return works.fanning.spread(written, at_once=at_once)

        async def say(done: int) -> list[SentMessage]:
            (with_files,) = await works.attaching.attached([said])
            said.update(with_files)
            written = (await self._in_thread(drafts))[done:]
            if await self._in_thread(lambda: works.office.needs_release(reply_type)):
                return await self._messages.propose_many([dict(draft) for draft in written])
            return await works.node_sync.send(written, None)

        return await done_once(works, claim_of("say", asked, own), say)

    @in_desk_thread
    def call_off(
        self, parent_id: UUID, reason: str | None = None, *, nations: Collection[str] | None = None
    ) -> ParentView:
        """Keep back what is asked of these nations (None: of all) and still waits for its instant; nobody learns of it.

        How the case with each nation then stands: where it had left, that says so. Raises :class:`NotFoundError`,
        :class:`UsageError` for a nation that was not asked, and as :meth:`DeskMessages.call_off` where none waits.
        """
        self._works.acting.require(Role.DRAFTER, Role.RELEASER)
        with self._store.database.transaction():
            threads = _threads(parent_with(self._store, parent_id), nations)
            waiting = [thread for thread in threads if self._store.outbox.is_held(thread)]
            for thread in waiting or threads[:1]:
                self._works.outbox.call_off(thread, reason)
        return self._view(parent_with(self._store, parent_id))

    def _draft(self, thread: UUID, reply_type: str, fields: Mapping[str, Any]) -> Draft:
        own = {name: value for name, value in fields.items() if name not in _OF_ONE_CASE}
        return self._works.replies.reply(thread, reply_type, own)

    def _view(self, parent: Parent) -> ParentView:
        context = self._context
        return parent_view(self._store, context.parsed, context.address, parent, context.clock())


def _threads(parent: Parent, nations: Collection[str] | None) -> list[UUID]:
    asked = {child.nation: child.thread for child in parent.children}
    unknown = set(nations or ()) - asked.keys()
    if unknown:
        raise UsageError(
            phrase(
                "not asked: {names}; asked: {known}", names=", ".join(sorted(unknown)), known=", ".join(sorted(asked))
            )
        )
    return [thread for nation, thread in asked.items() if nations is None or nation in nations]
