"""What several commands show for a person, and give to programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from exchange.cli._options import SHORT_ID
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _, labelled, ngettext
from exchange.text.labels import code_label, status_label, target_state_label
from exchange.text.objects import sent_object
from keys.local.terminal import QUEUED, REFUSED
from protocol.encoding.phrase import phrase
from protocol.errors import OutputError

if TYPE_CHECKING:
    from exchange.cases.duplicates import Duplicate
    from exchange.cases.legal_comparison import Hint
    from exchange.messaging.drafting.cleaning import Removed
    from exchange.views import Caution, InboxRow, ReceiptRow, SentMessage, TargetRow


def report_sent(
    sent: SentMessage,
    *,
    as_json: bool,
    duplicates: Sequence[Duplicate] = (),
    not_searched: int = 0,
    hints: Sequence[Hint] = (),
    removed: Sequence[Removed] | None = None,
) -> int | None:
    """What became of a draft that was sent; the exit code. ``removed`` is what --clean took out of it.

    Raises :class:`OutputError`, which names the message: it was sent, whoever could not read so.
    """
    with _sent_anyhow([sent]):
        _print_sent(sent, as_json, duplicates, not_searched, hints, removed)
    return code_of([sent])


def code_of(sent: Sequence[SentMessage]) -> int | None:
    """The exit code of what was sent: a refusal counts before a message that waits."""
    statuses = {str(one.status) for one in sent}
    if "refused" in statuses:
        return REFUSED
    return QUEUED if "queued" in statuses else None


def status_line(sent: SentMessage) -> str:
    """What became of one message, in one line: of one that waits, why it does and what happens next.

    Of what was asked of several nations, a line for each besides.
    """
    if sent.children:
        head = ngettext(
            "{id}: asked of {count} nation, which learns of no other: comity case show {short}",
            "{id}: asked of {count} nations, none of which learns of the others: comity case show {short}",
            len(sent.children),
        ).format(id=sent.id, count=len(sent.children), short=str(sent.id)[-SHORT_ID:])
        return "\n".join((head, *(f"  {child.nation}: {status_line(child)}" for child in sent.children)))
    if sent.status == "scheduled":
        text = _("{id}: goes at {at} (scheduled), as long as the desk runs: comity desk run, or comity watch")
        return text.format(id=sent.id, at=safe(sent.goes_at or "-"))
    if sent.status != "queued":
        return labelled(str(sent.id), status_label(sent.status)) + (f" ({sent.error})" if sent.error else "")
    why = safe(_(sent.reason)) if sent.reason else _("another command is sending it")
    text = _(
        "{id}: NOT SENT YET, kept here (queued): {reason} ({code}). The desk sends it as soon as the node takes it."
    )
    return text.format(id=sent.id, reason=why, code=sent.error or "busy")


@contextmanager
def _sent_anyhow(sent: Sequence[SentMessage]) -> Iterator[None]:
    try:
        yield
    except OutputError as problem:
        done = ", ".join(f"{one.id}: {one.status}" for one in sent)
        raise OutputError(phrase("{done}; but {detail}", done=done, detail=problem.detail)) from problem


def _print_sent(
    sent: SentMessage,
    as_json: bool,
    duplicates: Sequence[Duplicate],
    not_searched: int,
    hints: Sequence[Hint],
    removed: Sequence[Removed] | None,
) -> None:
    if as_json:
        compared = {"duplicates": duplicates, "not_searched": not_searched, "hints": hints}
        if removed is not None:
            compared["removed"] = removed
        print_json({**sent_object(sent), **compared})
    else:
        line(status_line(sent))
        print_cautions(sent.cautions)
        print_removed(removed or ())
        print_duplicates(duplicates, not_searched)
        if warnings := [hint for hint in hints if hint.warns]:
            from exchange.cli.cases.laws import print_hints

            print_hints(warnings)
        if sent.status == "proposed":
            line(_("Another officer releases it: comity draft list"))
        else:
            print_receipts(_("Receipts"), sent.receipts)


def report_sent_many(
    sent: Sequence[SentMessage],
    *,
    as_json: bool,
    duplicates: Sequence[Duplicate] = (),
    not_searched: int = 0,
    hints: Sequence[Hint] = (),
    removed: Sequence[Removed] | None = None,
) -> int | None:
    """What became of the parts of a draft; the exit code. Raises as :func:`report_sent`."""
    with _sent_anyhow(sent):
        _print_sent_many(sent, as_json, duplicates, not_searched, hints, removed)
    return code_of(sent)


def _print_sent_many(
    sent: Sequence[SentMessage],
    as_json: bool,
    duplicates: Sequence[Duplicate],
    not_searched: int,
    hints: Sequence[Hint],
    removed: Sequence[Removed] | None,
) -> None:
    if as_json:
        compared = {"duplicates": duplicates, "not_searched": not_searched, "hints": hints}
        if removed is not None:
            compared["removed"] = removed
        print_json({"messages": [sent_object(one) for one in sent], **compared})
    else:
        for one in sent:
            line(status_line(one))
            print_cautions(one.cautions)
        print_removed(removed or ())
        print_duplicates(duplicates, not_searched)
        if warnings := [hint for hint in hints if hint.warns]:
            from exchange.cli.cases.laws import print_hints

            print_hints(warnings)
        if any(one.status == "proposed" for one in sent):
            line(_("Another officer releases it: comity draft list"))


def print_cautions(cautions: Sequence[Caution]) -> None:
    """What to look at again in a message, each with the field it stands in."""
    for caution in cautions:
        line(f"! {safe(caution.field)}: {code_label(caution.codes, caution.code)}")
        if caution.valid:
            valid = [code_label("refusal_ground", code) + f" [{code}]" for code in caution.valid.split(", ")]
            line("  " + labelled(_("Valid here"), "; ".join(valid)))


def print_removed(removed: Sequence[Removed]) -> None:
    """What --clean took out of identifiers."""
    if removed:
        table(
            _("Removed from identifiers"),
            [_("Field"), _("Characters")],
            [(one.field, ", ".join(one.characters)) for one in removed],
        )


def print_duplicates(duplicates: Sequence[Duplicate], not_searched: int) -> None:
    """Where other cases are about the same targets, and how many messages were not looked into."""
    if duplicates:
        table(
            _("Other cases are about the same targets"),
            [_("Target"), _("Case"), _("Its target"), _("From"), _("To"), _("Sent at")],
            [
                (
                    row.target,
                    row.thread,
                    row.other_target,
                    row.sender,
                    ", ".join(map(str, row.recipients)),
                    _scheduled(row.sent_at) if row.scheduled else row.sent_at,
                )
                for row in duplicates
            ],
        )
    if not_searched:
        line(
            ngettext(
                "{count} message not compared for the same targets: it is not indexed yet.",
                "{count} messages not compared for the same targets: they are not indexed yet.",
                not_searched,
            ).format(count=not_searched)
        )


def sent_cell(row: InboxRow) -> object:
    """When a message was sent; of one that waits for its time, that it will be."""
    return _scheduled(row.sent_at) if row.status == "scheduled" else row.sent_at


def _scheduled(at: datetime) -> str:
    return _("{at} (scheduled)").format(at=safe(at))


def target_cells(row: TargetRow) -> tuple[object, ...]:
    """A target's name, state, expiry and ground for a table."""
    ground = code_label("refusal_ground", row.refusal_ground) if row.refusal_ground else None
    return row.target, target_state_label(row.state, row.partly), row.expires_at, ground


def print_targets(rows: Sequence[TargetRow]) -> None:
    """The targets of a request, by nation where several are asked in one thread."""
    titles = [_("Target"), _("State"), _("Expires at"), _("Ground")]
    if any(row.nation for row in rows):
        cells = [(row.nation, *target_cells(row)) for row in rows]
        table(_("Targets"), [_("Nation"), *titles], cells)
    else:
        table(_("Targets"), titles, [target_cells(row) for row in rows])


def _meaning(row: ReceiptRow) -> str:
    label = code_label("receipt_event", row.event)
    return label if row.files is None else f"{label} ({row.files.words})"


def print_receipts(title: str, receipts: tuple[ReceiptRow, ...]) -> None:
    table(
        title,
        [_("Event"), _("Meaning"), _("Log of"), _("Entry"), _("At"), _("Verified"), _("Reasons")],
        [
            (
                row.event,
                _meaning(row),
                row.node,
                row.index,
                row.at,
                row.error or _("yes"),
                ", ".join(row.reasons) or None,
            )
            for row in receipts
        ],
    )
