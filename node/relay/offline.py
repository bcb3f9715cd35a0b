"""Exchanging by bundles: what would travel by push or pull, carried by hand. See docs/protocol.md, bundles.

Exporting changes nothing here: what is queued stays queued until the other side's proof of it comes back. Importing
goes through the same doors as a request: each envelope, receipt and statement is verified, logged and durable before it
counts as taken, and the answers are kept for the next bundle to where it came from.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keys.directory.cards import ContactPointCard, Function
from keys.directory.carried_signatures import carried_key
from node.files.holdings import Holdings
from node.peers.directory import FilesSource
from node.relay._offline_state import BundleState
from node.relay.context import RelayContext
from node.relay.delivery import BATCH_BYTES
from node.relay.receipt_intake import take_receipts
from node.store.reads import OutboundItem, OutboundKind
from protocol.address import Address
from protocol.bundle import (
    MAX_FILES_TOLD,
    BundleAnswer,
    BundlePart,
    BundleVerdict,
    Contents,
    FilesHad,
    parse_part,
    verify_part,
    write_bundle,
)
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding.instants import to_text, truncate
from protocol.errors import (
    ForbiddenError,
    MalformedError,
    ReplayedError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.http.files import Ranges
from protocol.http.problem import problem_of, problem_text
from protocol.http.wire import MAX_ENVELOPES, MAX_RECEIPTS, MAX_STATEMENTS, EnvelopeAnswer, MailboxEntry
from protocol.log.merkle import leaf_hash

# One export carries at most so much; the rest stays queued for the next one.
MAX_EXPORT_BYTES = 64 * 1024 * 1024
_PAGE = 128


@dataclass(slots=True)
class ImportedBundle:
    """What one part brought. ``missing`` are the numbers of the bundle's parts that were not imported yet.

    ``directory`` is None when the part has none, else whether it verified.
    """

    sender: str
    bundle: str
    created: str
    part: int
    parts: int
    missing: tuple[int, ...] = ()
    directory: bool | None = None
    envelopes: int = 0
    statements: int = 0
    receipts: int = 0
    answers: int = 0
    refused: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


class OfflineExchange:
    """Writes and takes the bundles of one node, one at a time."""

    def __init__(self, context: RelayContext, signer: Signer, folder: Path, holdings: Holdings | None = None) -> None:
        self._context = context
        self._holdings = holdings
        self._signer = signer
        self._folder = folder
        self._one_at_a_time = asyncio.Lock()

    # --- Writing ---

    async def export(self, to: str, max_part_bytes: int) -> list[bytes]:
        """The parts of a bundle for ``to``, a node or a contact point that this node serves.

        Raises what the directory says against ``to``, :class:`ForbiddenError` and :class:`TooLargeError`.
        """
        async with self._one_at_a_time:
            self._require_counterpart(to)
            state = await asyncio.to_thread(BundleState.load, self._folder, to)
            contents = await (self._for_desk(to, state) if "@" in to else self._for_node(to, state))
            now = truncate(self._context.node.clock())
            return await asyncio.to_thread(
                write_bundle, self._context.node.name, to, now, contents, self._signer, max_part_bytes
            )

    async def files_told(self, to: str) -> Mapping[bytes, Sequence[Ranges]]:
        """Which segments ``to`` has of files that wait for it, by message, as its newest bundle told.

        Raises as :meth:`export`.
        """
        self._require_counterpart(to)
        return (await asyncio.to_thread(BundleState.load, self._folder, to)).files

    async def _for_node(self, node: str, state: BundleState) -> Contents:
        now = self._context.node.clock()
        envelopes = [
            item.raw
            async for item in self._queued(node, OutboundKind.ENVELOPE)
            if item.raw is not None and (item.expires is None or item.expires > now)
        ]
        receipts = [receipt async for item in self._queued(node, OutboundKind.RECEIPTS) for receipt in item.receipts]
        return Contents(
            directory=await self._context.node.directory.files(),
            answers=tuple(state.answers.values()),
            verdicts=tuple(state.verdicts.values()),
            passed_on=tuple(receipts),
            envelopes=tuple(envelopes),
            files=await self._files_had(node),
        )

    async def _for_desk(self, desk: str, state: BundleState) -> Contents:
        entries: list[MailboxEntry] = []
        after, size = state.after, 0
        while size < MAX_EXPORT_BYTES:
            page = await self._context.node.store.reads.mailbox(Address.parse(desk), after, _PAGE, BATCH_BYTES)
            if not page:
                break
            after = page[-1].seq
            entries += [MailboxEntry(entry.seq, entry.envelope, entry.receipts) for entry in page]
            size += sum(len(entry.envelope or b"") + 1024 * len(entry.receipts) for entry in page)
        return Contents(
            directory=await self._context.node.directory.files(),
            answers=tuple(state.answers.values()),
            mailbox=tuple(entries),
            after=state.after,
        )

    async def _files_had(self, node: str) -> tuple[FilesHad, ...]:
        """Which segments are here of files that the node brings and that are not whole: it carries the others.

        A node whose card does not say that it takes files does not know this section, and brings none.
        """
        card, holdings = self._context.node.directory.current.node(node), self._holdings
        if card.files is None or holdings is None:
            return ()
        had: list[FilesHad] = []
        room = MAX_FILES_TOLD
        for stored in await self._context.node.store.reads.files_from(node, MAX_FILES_TOLD):
            holding = await holdings.of(stored)
            if holding is not None and holding.marks.present:
                one = FilesHad(stored.digest, tuple(holding.marks.present_ranges()))
                room -= 1 + len(one.held) + sum(map(len, one.held))
                if room < 0:
                    break
                had.append(one)
        return tuple(had)

    async def _queued(self, node: str, kind: OutboundKind) -> AsyncIterator[OutboundItem]:
        """What is queued for the node, due or not, up to the limit of an export."""
        after, size = 0, 0
        while size < MAX_EXPORT_BYTES:
            page = await self._context.node.store.reads.outbound(node, kind, after, _PAGE, BATCH_BYTES)
            if not page:
                return
            for item in page:
                yield item
                size += len(item.raw or b"") + 1024 * len(item.receipts)
            after = page[-1].outbound_id

    # --- Taking ---

    async def take(self, data: bytes) -> ImportedBundle:
        """Take one part. Harmless to repeat: what was taken before is not taken again.

        Raises what :func:`parse_part` and :func:`verify_part` raise, :class:`ReplayedError` for a part that was taken
        as a whole before, and what the directory says against its sender.
        """
        part = parse_part(data, self._context.node.name)
        async with self._one_at_a_time:
            state = await asyncio.to_thread(BundleState.load, self._folder, part.sender)
            directory, contents = await self._verified(part)
            if part.digest in state.seen:
                raise ReplayedError(f"part {part.number} of {part.count} of this bundle was imported before")
            imported = ImportedBundle(
                part.sender, part.bundle_id.hex(), to_text(part.created), part.number, part.count, directory=directory
            )
            state.begin(part)
            if "@" in part.sender:
                await self._from_desk(Address.parse(part.sender), contents, state, imported)
            else:
                await self._from_node(part.sender, contents, state, imported)
            state.finish(part)
            imported.missing = state.missing(part)
            await asyncio.to_thread(state.save, self._folder, part.sender)
        self._context.node.log.info("bundle-imported", partner=part.sender, count=imported.envelopes)
        return imported

    async def _verified(self, part: BundlePart) -> tuple[bool | None, Contents]:
        """Whether the part's directory verified, and its contents.

        Directory files are signed by others than who carries them: they may name the very key that signed the bundle.
        """
        files, directory = part.contents.directory, None
        try:
            contents = verify_part(part, self._key(part))
        except (UnknownKeyError, UnknownNodeError, UnknownContactPointError):
            if not files:
                raise
            directory = await self._context.node.directory.refresh_from(FilesSource(part.sender, files))
            contents = verify_part(part, self._key(part))
        if files and directory is None:
            directory = await self._context.node.directory.refresh_from(FilesSource(part.sender, files))
        self._require_counterpart(part.sender)
        return directory, contents

    def _key(self, part: BundlePart) -> Ed25519Verifier:
        directory, now = self._context.node.directory.current, self._context.node.clock()
        return carried_key(directory, part.sender, part.kid, part.created, now)

    def _require_counterpart(self, holder: str) -> None:
        now = self._context.node.clock()
        card = self._context.node.directory.current.require_active(holder, now)
        if isinstance(card, ContactPointCard):
            if card.served_by(now) != self._context.node.name or Function.EXCHANGE not in card.functions:
                raise ForbiddenError(f"{self._context.node.name} does not serve {holder}")
        elif holder == self._context.node.name:
            raise ForbiddenError("a bundle goes to another node, or to a contact point")

    async def _from_node(self, node: str, contents: Contents, state: BundleState, imported: ImportedBundle) -> None:
        if contents.statements or contents.mailbox or contents.after is not None:
            raise MalformedError("a node's bundle has no statements and no mailbox pages")
        await self._answered(node, contents.answers)
        await self._judged(node, contents.verdicts)
        state.files |= {had.digest: had.held for had in contents.files}
        imported.answers = len(contents.answers) + len(contents.verdicts)
        refused: list[str] = []
        for batch in _batches(contents.passed_on, MAX_RECEIPTS):
            for receipt, problem in zip(batch, await take_receipts(self._context, node, batch), strict=True):
                key = leaf_hash(receipt.leaf)
                state.verdicts[key] = BundleVerdict(key, None if problem is None else problem_text(problem))
                imported.receipts += problem is None
                refused += [] if problem is None else [problem.code]
        for envelopes in _batches(contents.envelopes, MAX_ENVELOPES):
            answers = await self._context.intake.transfer(envelopes, node)
            refused += state.keep(envelopes, answers)
            imported.envelopes += sum(answer.refusal is None for answer in answers)
        imported.refused = tuple(refused)

    async def _from_desk(self, desk: Address, contents: Contents, state: BundleState, imported: ImportedBundle) -> None:
        if contents.answers or contents.verdicts or contents.passed_on or contents.mailbox or contents.files:
            raise MalformedError("a desk's bundle has envelopes, statements and how far it has read")
        refused: list[str] = []
        for envelopes in _batches(contents.envelopes, MAX_ENVELOPES):
            answers = await self._context.intake.submit(envelopes, desk)
            refused += state.keep(envelopes, answers)
            imported.envelopes += sum(answer.refusal is None for answer in answers)
        for statements in _batches(contents.statements, MAX_STATEMENTS):
            answers = await self._context.intake.state(statements, desk)
            refused += state.keep(statements, answers)
            imported.statements += sum(answer.refusal is None for answer in answers)
        if contents.after is not None:
            state.after = contents.after
        imported.refused = tuple(refused)

    async def _answered(self, node: str, answers: Sequence[BundleAnswer]) -> None:
        """Judge what the other node says of the envelopes that are queued for it."""
        by_key = {answer.key: answer for answer in answers}
        items: list[OutboundItem] = []
        given: list[EnvelopeAnswer] = []
        if by_key:
            async for item in self._queued(node, OutboundKind.ENVELOPE):
                answer = by_key.get(item.digest)
                if answer is not None:
                    items.append(item)
                    refusal = None if answer.problem is None else problem_of(answer.problem, node)
                    given.append(EnvelopeAnswer(answer.receipts, refusal))
        await self._context.outcomes.answered(node, items, given)

    async def _judged(self, node: str, verdicts: Sequence[BundleVerdict]) -> None:
        """Take off the queue the receipts that the other node has."""
        problems = {verdict.key: verdict.problem for verdict in verdicts}
        items: list[OutboundItem] = []
        if problems:
            items = [
                item
                async for item in self._queued(node, OutboundKind.RECEIPTS)
                if all(leaf_hash(receipt.leaf) in problems for receipt in item.receipts)
            ]
        said = [[problems[leaf_hash(receipt.leaf)] for receipt in item.receipts] for item in items]
        await self._context.outcomes.judged(
            node, items, [[None if text is None else problem_of(text, node) for text in own] for own in said]
        )


def _batches(items: Sequence[Any], size: int) -> list[list[Any]]:
    return [list(items[at : at + size]) for at in range(0, len(items), size)]
