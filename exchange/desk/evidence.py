"""``desk.evidence``: what a desk can prove of a message, and what of it is given out.

::

    report = await desk.evidence.verify(message.id)
    contents = await desk.evidence.gather(message.id, disclose=True, to="The court of Tokyo", purpose="proceedings")
    ...                                            # write_bag makes the file; then say that it was given:
    await desk.evidence.note_given(message.id, "bag", file)

Everything is verified from the stored bytes. That content is made ready to be given is recorded before it is, and that
it was given, to whom, what for and in which file, after it was. ``to`` and ``purpose`` default to those of the login.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.cases.listing import inbox_row
from exchange.context.worker import in_desk_thread
from exchange.desk._handing import Handing
from exchange.desk._opening import require_consent, require_open
from exchange.desk._reading import read, receipt_rows
from exchange.desk._works import Works
from exchange.i18n import _
from exchange.messaging.receipts import JudgedReceipt, ReceiptJudge
from exchange.office.officers import READERS
from exchange.office.processing_log import Giving
from exchange.store.rows import Head, StoredMessage
from exchange.views import NOT_DATED, Check, ReceiptCheck, VerificationReport
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.envelope import parse_envelope
from protocol.errors import ComityError, ConditionsOpenError, ErasedError, RetractedError
from protocol.log.checkpoint import parse_checkpoint
from protocol.processing_log import Operation
from protocol.receipt import Receipt

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from exchange.evidence.bag_reader import JudgedBag, ReadBag
    from exchange.evidence.bag_writer import EvidenceContents, Maker
    from exchange.evidence.checks import JudgedMessage
    from exchange.evidence.disclosure import Disclosure
    from exchange.evidence.log_monitor import LogWatch
    from exchange.letters.composing import PrintedMessage, WithheldMessage
    from exchange.messaging.contradictions import JudgedWhole
    from protocol.files.file_list import FileList


class DeskEvidence:
    """The proofs of one desk."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._context = works.context
        self._store = works.context.store
        self._link = works.link
        self._acting = works.acting
        self._clock = works.context.clock
        self._in_thread = works.context.in_thread

    async def verify(self, message_id: UUID, *, online: bool = True) -> VerificationReport:
        """Verify everything again from the stored bytes; ``online`` also asks the logs for consistency.

        Raises :class:`NotFoundError`.
        """
        while True:
            report = await self._verify(message_id, online)
            if not (online and await self._link.widened()):
                return report

    async def _verify(self, message_id: UUID, online: bool) -> VerificationReport:
        from exchange.evidence.checks import NOT_ASKED, inclusion
        from exchange.evidence.witness_quorum import check_witnesses

        self._acting.require(*READERS)
        stored, whole = await self._in_thread(lambda: self._judged_again(message_id))
        judged = whole.judged
        watch = self._log_watch()
        checks = []
        for entry in judged:
            row = self._works.judge.row(entry.receipt, entry.error.code if entry.error else None)
            consistency = NOT_ASKED
            if online and entry.proved is not None:
                consistency = await watch.check(entry.proved)
            witnesses = check_witnesses(self._link.directory, entry.receipt.checkpoint, self._clock())
            checks.append(ReceiptCheck(row, inclusion(entry), consistency, witnesses))
        about = self._judge_message(stored, whole)
        report = VerificationReport(
            id=message_id,
            digest=stored.head.digest,
            checks=about.checks,
            receipts=tuple(checks),
            sentence=about.sentence,
            dating=about.dating,
        )
        if not online:
            return report
        report, upgraded = await self._witnessed(report, [entry.receipt for entry in judged])
        await self._in_thread(lambda: self._store.receipts.upgrade(stored.head.digest, upgraded))
        return report

    async def verify_bag(
        self,
        bag: ReadBag,
        *,
        online: bool = True,
        disclosure: Disclosure | None = None,
        tsa_roots: Sequence[Certificate] = (),
        beside: Sequence[Path] = (),
    ) -> VerificationReport:
        """Verify an evidence bag by this desk's directory, which knows what was revoked since it was made.

        ``online`` also asks the logs for consistency and for proofs under witnessed checkpoints. Raises
        :class:`DirectoryUntrustedError`, :class:`DirectoryUnavailableError`, and :class:`MalformedError` and its kin
        when the envelope cannot be read at all.
        """
        from exchange.evidence.bag_reader import BagTrust, judge_bag, trust_in

        root = await self._link.with_trust(lambda trust: trust.trusted_root)
        carried = await asyncio.to_thread(trust_in, bag, root)
        while True:
            trust = BagTrust(self._link.directory, carried.shown, carried.from_root)
            # Files beside it may be long: they are hashed while the loop goes on.
            judging = partial(judge_bag, bag, trust, self._clock(), disclosure=disclosure, tsa_roots=tsa_roots)
            judged = await asyncio.to_thread(judging, beside=beside) if beside else judging()
            report = await self._bag_report(judged, online)
            if not (online and await self._link.widened()):
                return report

    async def _bag_report(self, judged: JudgedBag, online: bool) -> VerificationReport:
        """What was found about a bag, with what its logs say now."""
        from exchange.evidence.checks import NOT_ASKED
        from exchange.evidence.witness_quorum import check_witnesses

        watch, checks, directory = self._log_watch(), list[ReceiptCheck](), self._link.directory
        for (row, holds), entry in zip(judged.report.receipts, judged.receipts, strict=True):
            asked = await watch.check(entry.proved) if online and entry.proved is not None else NOT_ASKED
            seen = check_witnesses(directory, entry.receipt.checkpoint, self._clock())
            checks.append(ReceiptCheck(row, holds, asked, seen))
        about = judged.report
        report = VerificationReport(about.id, about.digest, about.checks, tuple(checks), about.sentence, about.dating)
        if online:
            report, _ = await self._witnessed(report, [entry.receipt for entry in judged.receipts])
        return report

    async def _witnessed(
        self, report: VerificationReport, receipts: Sequence[Receipt]
    ) -> tuple[VerificationReport, list[Receipt]]:
        """The report with its receipts upgraded as far as they can be, and those that were."""
        from exchange.evidence.witness_quorum import WitnessedProofs

        proofs = WitnessedProofs(self._link.directory, self._link.client, self._clock())
        improved = await proofs.improve(report.receipts, receipts)
        upgraded = [after for before, (_, after) in zip(receipts, improved, strict=True) if after is not before]
        return replace(report, receipts=tuple(check for check, _ in improved)), upgraded

    async def check_own_log(self) -> Check:
        """Whether the log of the node that serves this desk extends what was seen of it; else the proof is kept."""
        return await self._log_watch().check_head(self._link.own_node)

    def _log_watch(self) -> LogWatch:
        from exchange.evidence.log_monitor import LogWatch

        return LogWatch(
            self._link.directory,
            self._link.client,
            self._last_checkpoint,
            self._remember_checkpoint,
            self._context.home.misbehaviour,
            self._clock,
        )

    def _judge_message(self, stored: StoredMessage, whole: JudgedWhole) -> JudgedMessage:
        from exchange.evidence.checks import JudgedMessage, judge_message

        if stored.erased:
            erased = Check("content", None, ErasedError.code, phrase("the content was erased; its receipts are left"))
            text = _("The content of message {message} was erased; what is left is what the nodes logged.")
            said = text.format(message=stored.head.id)
            contradiction = () if not whole.found else (whole.check(),)
            return JudgedMessage((*contradiction, erased), said, NOT_DATED)
        envelope, disclosed = parse_envelope(stored.envelope), (stored.content, stored.salt)
        return judge_message(envelope, disclosed, self._link.directory, whole, self._clock())

    async def disclose(self, message_id: UUID, *, to: str | None = None, purpose: str | None = None) -> Disclosure:
        """The content and salt of one message, for an auditor.

        That it was made ready for ``to`` is recorded before it is returned; :meth:`note_given` records that it was
        given. Raises :class:`RecipientNeededError` without them,
        :class:`NotFoundError`, :class:`ErasedError`, :class:`ConditionsOpenError` for what this desk may not open
        itself, and :class:`HandlingError` when a label forbids what it is for, or the contact point that it is for.
        """
        await require_consent(self._works, message_id)
        return await self._in_thread(lambda: _opened(self.prepared(message_id, "disclose", to, purpose)))

    async def printed(self, message_id: UUID, *, to: str | None = None, purpose: str | None = None) -> PrintedMessage:
        """A message to be printed as a letter to the other side, or with ``to`` as a copy for somebody else.

        That it was looked at for that is recorded before it is returned; :meth:`note_given` records that the letter was
        given. Raises as :meth:`disclose` for a copy, else as :meth:`DeskMessages.read`.
        """
        from exchange.letters.composing import PrintedMessage

        await require_consent(self._works, message_id)

        def print_it() -> PrintedMessage:
            stored = self._store.messages.get(message_id)
            if to is not None:
                self.prepared(message_id, "print", to, purpose)
            shown = read(self._works, message_id, "print")
            # A copy goes to a court: it shows who had the files. The other side is told by the receipts.
            from exchange.desk._chains import chains_of

            custody = tuple(chains_of(self._works, stored)) if to is not None else ()
            return PrintedMessage(shown, parse_envelope(stored.envelope).routing.commitment, custody)

        return await self._in_thread(print_it)

    async def printed_case(
        self, thread: UUID, *, to: str | None = None, purpose: str | None = None
    ) -> list[PrintedMessage | WithheldMessage]:
        """The messages of a case to be printed, in the order they were stored.

        One whose content nobody here may see is there as withheld, with the reason: a case without it would hide that
        there was such a message, and a case that cannot be printed for it helps nobody. A label that forbids it
        refuses the whole all the same. Raises as :meth:`printed` else.
        """
        rows = await self._in_thread(lambda: self._store.messages.thread(thread))
        found: list[PrintedMessage | WithheldMessage] = []
        for _seq, stored, _opened in rows:
            try:
                found.append(await self.printed(stored.head.id, to=to, purpose=purpose))
            except (RetractedError, ConditionsOpenError, ErasedError) as refusal:
                found.append(await self._in_thread(partial(self._withheld, stored.head, refusal)))
        return found

    def _withheld(self, head: Head, refusal: ComityError) -> WithheldMessage:
        from exchange.letters.composing import WithheldMessage

        row = inbox_row(self._store, *self._store.messages.head(head.id))
        return WithheldMessage(row, head.digest, tuple(receipt_rows(self._works, head)), refusal.code, _why(refusal))

    async def gather(
        self,
        message_id: UUID,
        *,
        disclose: bool,
        online: bool = True,
        to: str | None = None,
        purpose: str | None = None,
        whole_files: bool = False,
    ) -> EvidenceContents:
        """What an evidence bag of a message holds, with its content if ``disclose``; write_bag makes the file.

        ``whole_files``: with its sealed files too, as far as they are here and a bag has room for them.

        With ``online`` the logs are asked first for proofs under checkpoints that witnesses cosigned; a log that cannot
        be asked leaves the proof that there is.

        Receipts that do not hold by the directory as it is now are left out, and counted. Raises as
        :meth:`disclose`, :class:`DirectoryUnavailableError`, and :class:`UnavailableError` when the directory must be
        read further and the node cannot be reached.
        """
        from exchange.evidence.bag_writer import evidence_of, nations_of

        self._acting.require(*READERS)
        if disclose:
            await require_consent(self._works, message_id)
        if online:
            await self.verify(message_id)
        while True:
            stored, whole = await self._in_thread(lambda: self._judged_again(message_id))
            judged = whole.judged
            if stored.erased:
                raise ErasedError
            nations_of(stored, judged, self._link.directory)
            if not await self._link.widened():
                break
        opened = None
        if disclose:
            opened = await self._in_thread(lambda: _opened(self.prepared(message_id, "bag", to, purpose)))
        maker = await self._maker(judged)
        contents = await self._link.with_trust(
            lambda trust: evidence_of(stored, judged, opened, trust.current, trust.extract, maker)
        )
        if not whole_files or contents.files is None:
            return contents
        return await self._in_thread(lambda: replace(contents, whole=self._sealed_files(stored, contents.files)))

    @in_desk_thread
    def note_given(
        self, message_id: UUID, act: str, file: bytes, *, to: str | None = None, purpose: str | None = None
    ) -> int:
        """Record that a file was given out, after it was written: the first entry of its custody; the entry's index.

        ``act`` is disclose, bag, or bag.sealed for a bag without the content; ``file`` are its bytes.
        Raises :class:`RecipientNeededError`.
        """
        handed = Handing.of(self._acting, to, purpose)
        head = self._store.messages.head(message_id).head
        given = Giving((handed.to,), handed.purpose, sha256(file).digest())
        with self._store.database.transaction():
            index = self._store.records.frontier().size
            self._store.records.insert([self._works.book.record(Operation.DISCLOSURE, act, head, given=given)])
        return index

    # --- Inside ---

    def _sealed_files(self, stored: StoredMessage, files: FileList | None) -> dict[bytes, bytes]:
        """The sealed files of a message by name, as many as a bag holds: the short ones first.

        Raises :class:`FileByHashOnlyError` for what is exchanged by its hash alone.
        """
        from exchange.evidence.bag_writer import MAX_WHOLE
        from exchange.files.book import attachments_of

        self._works.hash_only.require(attachments_of(self._context.parsed.of(stored)))
        found, room, book = dict[bytes, bytes](), MAX_WHOLE, self._works.files
        for file in sorted(files.files if files is not None else (), key=lambda one: one.length):
            place = book.place_of(stored.head, file.name)
            if place is not None and file.length <= room:
                with book.shelf.reading(place) as descriptor, os.fdopen(os.dup(descriptor), "rb") as sealed:
                    found[file.name] = sealed.read(file.length)
                room -= file.length
        return found

    async def _maker(self, judged: Sequence[JudgedReceipt]) -> Maker:
        """Who makes a bag here and now, with the largest head of each log that was seen."""
        from exchange.evidence.bag_writer import Maker

        searched: dict[str, int] = {}
        for proved in (entry.proved for entry in judged if entry.proved is not None):
            seen = await self._last_checkpoint(proved.origin)
            known = parse_checkpoint(seen).size if seen is not None else 0
            searched[proved.origin] = max(searched.get(proved.origin, 0), proved.size, known)
        officer = self._acting.name if self._acting.name != str(self._context.address) else None
        return Maker(self._context.address, officer, truncate(self._clock()), searched, self._context.signer)

    def prepared(self, message_id: UUID, act: str, to: str | None, purpose: str | None) -> StoredMessage:
        """A message whose content may be given out, after it was recorded that it is made ready for that.

        In the desk's thread. Raises as :meth:`disclose`.
        """
        from protocol.messages.handling_rules import Action

        handed = Handing.of(self._acting, to, purpose)
        self._acting.require(*READERS)
        stored = self._store.messages.get(message_id)
        if stored.erased:
            raise ErasedError
        require_open(self._works, stored)
        if handed.purpose == Action.PROCEEDINGS:
            self._works.passing_on.require(message_id, Action.PROCEEDINGS)
        for address in handed.addresses:
            if address != self._context.address:
                self._works.passing_on.require(message_id, Action.FORWARD, address)
        with self._store.database.transaction():
            record = self._works.book.record(
                Operation.CONSULTATION,
                f"{act}.prepare",
                stored.head,
                given=Giving((handed.to,), handed.purpose),
            )
            self._store.records.insert([record])
        return stored

    def _judged_again(self, message_id: UUID) -> tuple[StoredMessage, JudgedWhole]:
        from exchange.messaging.contradictions import judge_whole

        stored = self._store.messages.get(message_id)
        receipts = [entry.receipt for entry in self._store.receipts.of(stored.head.digest)]
        judge = ReceiptJudge(lambda: self._link.directory)  # with no memory of what was verified before
        return stored, judge_whole(judge, receipts, stored.head.ref, self._clock())

    async def _last_checkpoint(self, origin: str) -> bytes | None:
        return await self._in_thread(lambda: self._store.state.get(b"log:" + origin.encode()))

    async def _remember_checkpoint(self, origin: str, note: bytes) -> None:
        def larger(seen: bytes | None) -> bytes | None:
            """The note, unless this program or another has seen more of the log."""
            return note if seen is None or parse_checkpoint(seen).size < parse_checkpoint(note).size else None

        await self._in_thread(lambda: self._store.state.replace(b"log:" + origin.encode(), larger))


def _why(refusal: ComityError) -> str:
    """Why a message is withheld. The terms of conditions stay out: they are part of what is not shown."""
    if isinstance(refusal, ConditionsOpenError):
        return phrase("it was given under conditions that are not accepted here")
    return refusal.detail


def _opened(stored: StoredMessage) -> Disclosure:
    from exchange.evidence.disclosure import Disclosure

    return Disclosure(stored.head.id, stored.head.digest, stored.salt, stored.content)
