"""The files of a message for its reader: where each stands beside its name, size and hashes, and its custody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.custody.chain import ChainStep, Custody, Shown
from exchange.i18n import _
from exchange.text.labels import code_label
from exchange.text.rendering import ReadLine, attached_name
from exchange.views import FileState, ShownMessage
from protocol.encoding.instants import as_written
from protocol.encoding.phrase import joined

_ATTACHMENTS = "attachments"


def state_text(state: FileState) -> str:
    """Where a file stands here, in words."""
    return {
        FileState.BY_HASH: _("by hash only"),
        FileState.LISTED: _("listed, not here"),
        FileState.RECEIVED: _("here, sealed"),
        FileState.OPENED: _("opened here"),
        FileState.QUARANTINED: _("KEPT APART: it is not what its sender signed"),
        FileState.GONE: _("erased"),
    }[state]


def shown_text(shown: Shown) -> str:
    """What shows a step, in words."""
    return {
        Shown.CLAIMED: _("its sender says"),
        Shown.SIGNED: _("signed"),
        Shown.PROVED: _("proved"),
        Shown.RECORDED: _("recorded here"),
    }[shown]


def step_text(step: ChainStep) -> str:
    """A step in words; its code stands beside them where they do not say all of it."""
    if step.shown is Shown.PROVED:
        return code_label("receipt_event", step.what)
    if step.shown is Shown.CLAIMED:
        return code_label("custody_action", step.what)
    said = {
        "message": _("Named in the signed message"),
        "carried": _("Written to a disk that was carried"),
        "files.allow": _("Allowed to be attached"),
        "files.cancel": _("Taken back"),
        "files.custody": _("Custody read"),
        "files.export": _("Exported with its custody"),
        "files.get": _("Opened, and a copy made"),
        "files.quarantine": _("Kept apart"),
        "files.seal": _("Sealed"),
    }.get(step.what)
    return said or f"{code_label('record_operation', step.operation)} ({step.what})"


def more_text(step: ChainStep) -> str:
    """Where a step stands and what else is said of it; texts of others among ours."""
    said = joined(filter(None, (step.where, step.detail)))
    return _(said) if said else ""


def with_states(lines: Sequence[ReadLine], shown: ShownMessage) -> Iterator[ReadLine]:
    """The lines of a message, with where each of its files stands behind what is said of that file."""
    for place, line in enumerate(lines):
        yield line
        number = _number_of(line)
        after = lines[place + 1] if place + 1 < len(lines) else None
        if number is not None and (after is None or _number_of(after) != number):
            state = shown.files.get(shown.message.attachments[number].name)
            if state is not None:
                path = (_ATTACHMENTS, str(number), "state")
                yield ReadLine(path, _("State"), state_text(state), _depth_in(line))


def custody_reading(custody: Custody, shown: ShownMessage) -> Iterator[ReadLine]:
    """The custody of one file as lines of its message, so that what is removed of the file is removed of them too."""
    names = [one.name for one in shown.message.attachments]
    path = (_ATTACHMENTS, str(names.index(custody.file.original)), "custody")
    yield ReadLine(path, _("Custody of the file {name}").format(name=shown_name(custody)), None, 0)
    for step in custody.steps:
        yield ReadLine(path, as_written(step.at), _told(step), 1)
    for gap in custody.gaps:
        yield ReadLine(path, _("NOT SHOWN"), gap_text(gap), 1)


def shown_name(custody: Custody) -> str:
    """The file's name in its message, where it may be shown."""
    return attached_name(custody.file.original, custody.file.label)


def _told(step: ChainStep) -> str:
    more = more_text(step)
    return f"{shown_text(step.shown)}: {step_text(step)}, {step.by}{f' ({more})' if more else ''}"


def gap_text(gap: str) -> str:
    """What is missing in a chain, in words."""
    return {
        "not-accepted": _("that the sender's node had the whole file"),
        "not-consigned": _("that the recipient's node had the whole file"),
        "not-handed-over": _("that the recipient's desk has the whole file, verified against its name"),
        "no-item": _("of which item of the answer the file is: nothing says how it was obtained"),
        "no-certificate": _("a certificate of the provider's custodian"),
        "other-hash": _("THE HASH OF THE ITEM, OR OF THE PROVIDER, IS ANOTHER than that of the file"),
    }.get(gap, gap)


def _number_of(line: ReadLine) -> int | None:
    """Of which attachment a line is."""
    inside = len(line.path) > 2 and line.path[0] == _ATTACHMENTS and line.path[1].isdecimal()
    return int(line.path[1]) if inside else None


def _depth_in(line: ReadLine) -> int:
    return line.depth - (len(line.path) - 3)
