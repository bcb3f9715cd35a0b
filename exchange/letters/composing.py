"""From messages, as a desk shows them, to a letter between two nations.

A letter names its sender and one recipient. It leaves out all else that the program knows (other recipients, nodes on
the way, witnesses, the parent of several requests), so that a letter to one nation never tells of another. The words
that a person wrote stay as they were written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.cases.standing import notes_on
from exchange.custody.chain import Custody
from exchange.custody.reading import custody_reading, with_states
from exchange.letters.fingerprint import fingerprint_of
from exchange.letters.letter import Letter, LetterFact, LetterLine, LetterMessage, LetterTable
from exchange.letters.redaction import RedactedLine, Redaction, Redactor
from exchange.report.language import Reader
from exchange.text.labels import code_label
from exchange.text.rendering import ReadLine, read_message
from exchange.views import InboxRow, ReceiptRow, ShownMessage
from keys.local.isolates import shown
from keys.local.translation import _, isolated_value, speaking
from protocol.address import Address
from protocol.lifecycle.folding import StandingState

# Shown in the head of each message, or of use to programs alone.
_IN_THE_HEAD = frozenset({"id", "thread", "from", "to", "sent_at", "in_reply_to"})
# The column of reasons in the log of removals.
_WHY = 2
_CHANGED_BY = {StandingState.CORRECTED: "correction", StandingState.RETRACTED: "retract"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Between whom a letter is: ``sender`` and ``recipient`` of its first message, and the nodes that serve them."""

    sender: Address
    recipient: Address
    nodes: frozenset[str]

    def are(self, row: InboxRow) -> bool:
        """Whether a message is between these two."""
        both = {self.sender, self.recipient}
        return row.sender in both and bool(both & set(row.recipients))


@dataclass(frozen=True, slots=True, kw_only=True)
class Printing:
    """How a letter is made: its ``language``, date, letterhead, and for a copy who gets it and what is removed."""

    language: str
    as_of: datetime
    letterhead: Sequence[str] = ()
    disclosed_to: str | None = None
    redactions: Sequence[Redaction] = ()
    by: str = ""


@dataclass(frozen=True, slots=True)
class PrintedMessage:
    """A message to be printed, with the commitment that its sender signed; in a copy, with its files' custody."""

    shown: ShownMessage
    commitment: bytes
    custody: tuple[Custody, ...] = ()

    @property
    def row(self) -> InboxRow:
        """The message as a list shows it."""
        return self.shown.row

    @property
    def digest(self) -> bytes:
        """The digest of its envelope."""
        return self.shown.digest


@dataclass(frozen=True, slots=True)
class WithheldMessage:
    """A message of a case whose content is not shown here: it is in the letter, with ``why`` in place of what it says.

    ``why`` is a phrase, and ``code`` that of the refusal to show it.
    """

    row: InboxRow
    digest: bytes
    receipts: tuple[ReceiptRow, ...]
    code: str
    why: str


Printed = PrintedMessage | WithheldMessage


def compose_letter(messages: Sequence[Printed], parties: Parties, printing: Printing) -> Letter:
    """The letter; raises :class:`RedactionError` where what is to be removed is not, or was never there."""
    with speaking(printing.language):
        return _Composer(parties, printing).letter(messages)


class _Composer:
    """Composes in the language of the block that it is used in."""

    def __init__(self, parties: Parties, printing: Printing) -> None:
        self._parties = parties
        self._printing = printing
        self._reader = Reader(printing.language)
        mark = shown(_("[removed: {number}]"))
        self._redactor = Redactor(printing.redactions, printing.by, mark, shown(_("Words in a text")))

    def letter(self, messages: Sequence[Printed]) -> Letter:
        first = messages[0]
        composed = tuple(self._message(one) for one in messages)
        copy = self._printing.disclosed_to is not None
        letter = Letter(
            language=self._reader.tag,
            direction=self._reader.direction,
            title=shown(_("Copy for a court or authority") if copy else _kind(first)),
            as_of=self._printing.as_of,
            letterhead=tuple(self._text(line) for line in self._printing.letterhead),
            facts=tuple(self._head(first)),
            messages=composed,
            notes=tuple(self._notes(messages)),
            redactions=self._log(),
            page=shown(_("Page {page} of {pages}")).replace("\u2068", "").replace("\u2069", ""),
        )
        self._redactor.require_gone(list(texts_of(letter)))
        return letter

    def _head(self, first: Printed) -> Iterator[LetterFact]:
        yield LetterFact(shown(_("Date")), self._reader.instant(self._printing.as_of))
        yield LetterFact(shown(_("From")), str(self._parties.sender), code=True)
        yield LetterFact(shown(_("To")), str(self._parties.recipient), code=True)
        if self._printing.disclosed_to is not None:
            yield LetterFact(shown(_("Given to")), self._text(self._printing.disclosed_to))
            yield LetterFact(shown(_("Made by")), self._printing.by)
        reference = first.shown.message.own_reference if isinstance(first, PrintedMessage) else None
        if reference and not self._redactor.takes("own_reference"):
            yield LetterFact(shown(_("Reference")), self._text(reference))

    def _message(self, printed: Printed) -> LetterMessage:
        if isinstance(printed, WithheldMessage):
            why = LetterLine(shown(_("Withheld: its content is not in this letter")), shown(_(printed.why)), 0)
            return self._letter_message(printed, (), (why,), printed.receipts)
        message = printed.shown
        reading = with_states(read_message(message.message, message.original), message)
        values = [line for line in reading if line.path[0] not in _IN_THE_HEAD]
        values += [line for one in printed.custody for line in custody_reading(one, message)]
        facts = (
            LetterFact(shown(_("Commitment to the content")), _grouped(printed.commitment), code=True),
            # That it was taken back, corrected, or is not theirs: a letter without it deceives its reader.
            *(LetterFact(shown(_("Notes")), self._text(shown(_(note)))) for note in _notes_of(message)),
        )
        lines = tuple(_letter_line(one) for one in self._redactor.lines([_whole(line) for line in values]))
        return self._letter_message(printed, facts, lines, message.receipts)

    def _letter_message(
        self,
        printed: Printed,
        facts: tuple[LetterFact, ...],
        lines: tuple[LetterLine, ...],
        receipts: Sequence[ReceiptRow],
    ) -> LetterMessage:
        return LetterMessage(
            heading=_kind(printed),
            facts=(
                LetterFact(shown(_("From")), str(printed.row.sender), code=True),
                LetterFact(shown(_("To")), str(self._to(printed.row)), code=True),
                LetterFact(shown(_("Sent at")), self._reader.instant(printed.row.sent_at)),
                *(_standing(printed.shown) if isinstance(printed, PrintedMessage) else ()),
                LetterFact(shown(_("Message")), str(printed.row.id), code=True),
                LetterFact(shown(_("Fingerprint")), fingerprint_of(printed.digest), code=True),
                LetterFact(shown(_("SHA-256 of the sealed message")), _grouped(printed.digest), code=True),
                *facts,
            ),
            lines=lines,
            receipts_caption=shown(_("What is proved of it")),
            receipt_headings=tuple(map(shown, (_("Event"), _("Log of"), _("Entry"), _("At")))),
            receipts=tuple(self._receipt(row) for row in receipts if self._concerns(row)),
            no_receipts=shown(_("Nothing is proved of it by a receipt yet.")),
        )

    def _to(self, row: InboxRow) -> Address:
        there = [one for one in row.recipients if one in (self._parties.sender, self._parties.recipient)]
        return there[0] if there else self._parties.recipient

    def _concerns(self, row: ReceiptRow) -> bool:
        """Whether a receipt holds, and tells of these two parties and their nodes alone."""
        both = {self._parties.sender, self._parties.recipient}
        return row.verified and row.node in self._parties.nodes and (row.recipient is None or row.recipient in both)

    def _receipt(self, row: ReceiptRow) -> tuple[str, ...]:
        event = shown(f"{code_label('receipt_event', row.event)} [{isolated_value(row.event)}]")
        return event, shown(isolated_value(row.node)), self._reader.number(row.index), self._reader.instant(row.at)

    def _notes(self, messages: Sequence[Printed]) -> Iterator[str]:
        if self._printing.disclosed_to is not None:
            yield shown(
                _(
                    "This is a copy. The original is the sealed message whose SHA-256 and commitment stand above: with "
                    "its disclosure, which this office can give, anybody verifies that an unredacted copy is what was "
                    "sent, and that this one leaves out only what the list of removals names."
                )
            )
        yield shown(
            _(
                "Compare the fingerprint with the other office by telephone, by the number in the directory: both "
                "desks show the same one."
            )
        )

    def _log(self) -> LetterTable | None:
        if not self._printing.redactions:
            return None
        rows = [
            (self._reader.number(one.number), shown(one.kind), one.reason, one.by, self._reader.number(one.places))
            for one in self._redactor.log()
        ]
        headings = (_("Number"), _("Kind"), _("Why"), _("By whom"), _("Places"))
        return LetterTable(shown(_("What was removed")), tuple(map(shown, headings)), tuple(rows))

    def _text(self, text: str) -> str:
        return self._redactor.text(text)


def texts_of(letter: Letter) -> Iterator[str]:
    """Every text that stands in a letter; of the log of what was removed, its reasons: they are a person's own."""
    yield from (letter.title, *letter.letterhead, *letter.notes)
    for fact in letter.facts:
        yield fact.value
    yield from (row[_WHY] for row in (letter.redactions.rows if letter.redactions is not None else ()))
    for message in letter.messages:
        yield message.heading
        yield from (fact.value for fact in message.facts)
        yield from (line.text for line in message.lines if line.text)
        yield from (cell for row in message.receipts for cell in row)


def _standing(message: ShownMessage) -> Iterator[LetterFact]:
    """The message that corrected this one or took it back: nobody may take the paper for what still holds."""
    found = message.standing
    if found is not None and found.by is not None and found.state in _CHANGED_BY:
        yield LetterFact(shown(code_label("message_type", _CHANGED_BY[found.state])), str(found.by), code=True)


def _notes_of(message: ShownMessage) -> list[str]:
    """What else a reader must be told: the message that corrected this one or took it back stands beside them."""
    said = notes_on(message.standing) if any(_standing(message)) else ()
    return [note for note in message.notes if note not in said]


def _kind(message: Printed) -> str:
    return shown(code_label("message_type", message.row.type))


def _whole(line: ReadLine) -> ReadLine:
    """A line with its marks of direction as a reader sees them."""
    return replace(line, label=shown(line.label), text=None if line.text is None else shown(line.text))


def _letter_line(redacted: RedactedLine) -> LetterLine:
    line = redacted.line
    return LetterLine(line.label, line.text, line.depth, line.written_in or "", redacted.removed)


def _grouped(digest: bytes) -> str:
    """Hexadecimal in groups that a person can compare."""
    text = digest.hex()
    return " ".join(text[at : at + 8] for at in range(0, len(text), 8))
