"""What the node says to its operator: one source of sentences for the console, ``comity-node status`` and its JSON.

Each sentence is whole, in the reader's language, with the values put in last. A sentence says what is so and what to
do; names and texts of others are put in as they are, and made harmless where they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from node.console.attention import TAKES_NOTHING, Attention, Kind
from node.console.partner_rows import PartnerRow
from node.i18n import _
from protocol.errors import ComityError, registry

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Told:
    """One attention in words. ``acts`` names what a page offers beside it: ``retry``, ``test-way``, ``directory``.

    ``command`` is what to type where only a command can do it; ``page`` where to read more.
    """

    code: str
    failing: bool
    subject: str
    title: str
    text: str
    do: str
    acts: tuple[str, ...] = ()
    command: str = ""
    page: str = ""


def headline(told: Sequence[Told]) -> str:
    """The first line of the page: how things are."""
    failing = sum(one.failing for one in told)
    if failing:
        return _("Not serving. Things that stop this node: {count}.").format(count=failing)
    if not told:
        return _("Serving. Nothing needs you.")
    if len(told) == 1:
        return _("Serving. One thing needs you.")
    return _("Serving. Things that need you: {count}.").format(count=len(told))


def span(seconds: float) -> str:
    """A time that passed or is left, in its two largest units."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return _("{seconds} s").format(seconds=whole)
    if whole < _HOUR:
        return _("{minutes} min").format(minutes=whole // _MINUTE)
    if whole < 2 * _DAY:
        return _("{hours} h {minutes} min").format(hours=whole // _HOUR, minutes=whole % _HOUR // _MINUTE)
    return _("{days} d").format(days=whole // _DAY)


def size_text(size_bytes: int) -> str:
    """So many bytes, with the unit that suits."""
    amount, unit = float(size_bytes), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"


def error_text(code: str, detail: str = "") -> str:
    """An error in words: what happened, if that is known, else what its code means."""
    if detail:
        return _(detail)
    kind = registry().get(code)
    return _(kind().detail) if kind is not None else code


def advice_text(code: str) -> str:
    """What to do about an error of this code; empty for one that is not known here."""
    kind = registry().get(code)
    return _(kind.advice) if kind is not None else ""


def operator_advice(code: str) -> str:
    """What the operator of this node does about an error that a partner, or the way to it, gave."""
    texts = {
        "unavailable": _("Test the way. If nothing answers, telephone its operator: does the node run?"),
        "certificate-unknown": _("Fetch the directory. If it stays so, telephone its operator."),
        "network-not-allowed": _("If its address is right, name the network in the setting allow_networks."),
        "unauthenticated": _("Its operator looks at its directory and its clock: it does not know this node's key."),
        "clock-skew": _("Compare both clocks, and set the wrong one (NTP)."),
        "log-fork": _("Its log contradicted itself. The guide says how to settle it, in section 9."),
        "rate-limited": _("It asks this node to send less. It goes on by itself."),
        "storage-full": _("Its disk is full. Telephone its operator."),
        "file-quota": _("It has no room for these files now. They go on by themselves."),
        "not-on-route": _("A node on the way has an older directory: telephone its operator."),
    }
    return texts.get(code) or _("Test the way. If it stays so, telephone its operator.")


def told(one: Attention, rows: Sequence[PartnerRow], home: str, now: datetime, own: str = "") -> Told:
    """An attention in words. ``home`` is the home folder of the node ``own``, for the commands."""
    partner = next((row for row in rows if row.node == one.subject), None)
    name = partner.title if partner is not None else one.subject
    if one.kind is Kind.LIED and one.subject == own:
        return _own_log_lied(one, home)
    return _of_partner(one, partner, name, now, home) or _of_directory(one, name, home) or _of_this_node(one, home)


def _of_partner(one: Attention, row: PartnerRow | None, name: str, now: datetime, home: str) -> Told | None:
    match one.kind:
        case Kind.TAKES_NOTHING:
            return _takes_nothing(one, row or PartnerRow(one.subject, one.subject), now)
        case Kind.CLOCK_DIFFERS:
            return Told(
                one.code,
                False,
                one.subject,
                _("The clock of {partner} says another time than this node's").format(partner=name),
                _("The two differ by more than 5 minutes. This node's clock was agreed with before, so it goes on."),
                _("Compare both clocks by telephone. If this one is wrong, set it (NTP)."),
                ("test-way",),
                page="/machine",
            )
        case Kind.DISTRUSTED:
            return Told(
                one.code,
                False,
                one.subject,
                _("The log of {partner} contradicted itself").format(partner=name),
                _("Receipts of that node do not count, and nothing is sent to it. What waits for it is kept."),
                _("Telephone its operator at the number on file. The guide says how to settle it, in section 9."),
                page="/log",
            )
        case Kind.LIED:
            return Told(
                one.code,
                False,
                one.subject,
                _("It is proved that the log of {partner} lied").format(partner=name),
                _("The proof is a file that anyone can verify."),
                _("Telephone its operator at the number on file, then tell the federation."),
                command=f"comity-node monitor proof {home} {one.subject} --out {one.subject}.proof",
                page="/log",
            )
        case Kind.BEHIND_WITNESS:
            return Told(
                one.code,
                False,
                one.subject,
                _("{partner} cosigned more of this log than this node has").format(partner=name),
                _("The database and the checkpoint file are older than the log was: an old copy was put back."),
                _("Stop the node at once, and restore the newest copy of both."),
                page="/log",
            )
        case _:
            return None


def _own_log_lied(one: Attention, home: str) -> Told:
    return Told(
        one.code,
        False,
        one.subject,
        _("It is proved that this node's own log lied"),
        _(
            "Partners hold the proof, and count none of its receipts. Somebody else has its keys, or a backup"
            " runs twice."
        ),
        _("Stop the node at once, and find out who else has its keys, or which backup runs."),
        command=f"comity-node monitor proof {home} {one.subject} --out {one.subject}.proof",
        page="/log",
    )


def _takes_nothing(one: Attention, row: PartnerRow, now: datetime) -> Told:
    since = row.past.failing_since or now - TAKES_NOTHING
    said = [
        text.format(count=count)
        for text, count in (
            (_("Messages that wait: {count}."), row.envelopes),
            (_("Receipts that wait: {count}."), row.receipts),
            (_("Messages whose files wait: {count}."), row.file_sets),
        )
        if count
    ]
    if row.expires_at is not None:
        said.append(_("The first expires in {span}.").format(span=span((row.expires_at - now).total_seconds())))
    if row.past.code:
        said.append(_("Last error: {error}").format(error=error_text(row.past.code, row.past.detail)))
    if not said:
        said.append(_("Each try for 15 minutes failed."))
    return Told(
        one.code,
        False,
        row.node,
        _("{partner} has not taken anything for {span}").format(
            partner=row.title, span=span((now - since).total_seconds())
        ),
        " ".join(said),
        operator_advice(row.past.code),
        ("retry", "test-way"),
        page=f"/partners/{row.node}",
    )


def _of_directory(one: Attention, name: str, home: str) -> Told | None:
    match one.kind:
        case Kind.DIRECTORY_EXPIRED:
            return Told(
                one.code,
                False,
                "",
                _("The directory was not renewed in time"),
                _("This node goes on with the last one that verified. No source had a newer one."),
                _("Ask the registry whether it publishes. It must do so every day."),
                ("directory",),
                page="/directory",
            )
        case Kind.EXPIRES:
            return _expires(one, home)
        case Kind.SOURCE:
            return _source(one, name)
        case Kind.NOT_ADMITTED:
            return Told(
                one.code,
                False,
                "",
                _("No directory has this node yet"),
                _("Partners do not know it, and nothing can be sent to it."),
                _("Give card.json to the key holders of your nation; they publish it."),
                ("directory",),
                f"comity-node card {home}",
                "/directory",
            )
        case Kind.LEFT_OUT:
            return Told(
                one.code,
                False,
                one.subject,
                _("The cards of {nation} cannot be used").format(nation=name),
                _("Nothing can be sent to it until its cards are mended. Other nations are not concerned."),
                _("Tell the registry and that nation's operator."),
                page="/directory",
            )
        case _:
            return None


def what_text(what: str, subject: str) -> str:
    """A thing that can end, in words; ``what`` is as :class:`keys.directory.metadata.expiry.Expiry` names it."""
    texts = {
        "signing-key": _("The signing key of {subject}"),
        "sealing-key": _("The key of {subject} that opens messages"),
        "tls-certificate": _("The TLS certificate of {subject}"),
    }
    return texts.get(what, _("The role {role} of the directory")).format(subject=subject, role=what)


def _expires(one: Attention, home: str) -> Told:
    what = one.cause.partition(":")[0]
    thing = what_text(what, one.subject)
    own = what in {"signing-key", "sealing-key", "tls-certificate"}
    at_desk = "@" in one.subject
    if not own:
        do = _("Tell the holders of that role: they sign a new version, and the registry publishes it.")
    elif at_desk:
        do = _("Tell that office: it changes its keys at its desk.")
    else:
        do = _("Begin new keys, publish the card, then switch. The key runbook says each step.")
    command = f"comity-node rotate begin {home}" if own and not at_desk else ""
    title = _("{thing} ends within a week, or has ended").format(thing=thing)
    text = _("After that others refuse it.") if own else _("After that this node goes on, and is told so.")
    return Told(one.code, False, one.subject, title, text, do, command=command, page="/directory")


def _source(one: Attention, name: str) -> Told:
    if one.cause == "behind":
        title = _("{source} still has an older directory").format(source=name)
        text = _("Others have had a newer one for 15 minutes. Yours is the newest that any source had.")
        do = _("Telephone its operator.")
    else:
        title = _("{source} shows another directory than the others").format(source=name)
        text = _("It is of the same version and differs, or it does not verify. Somebody may have the registry's keys.")
        do = _("Telephone the registry, with another member on the line.")
    return Told(one.code, False, one.subject, title, text, do, ("directory",), page="/directory")


def _of_this_node(one: Attention, home: str) -> Told:
    problem = one.problem
    match one.kind:
        case Kind.DISK:
            title = _("A file of this node cannot be used: {file}").format(file=one.subject)
            text = _("The system says: {cause}.").format(cause=one.cause.rpartition(":")[2])
            do = _("Free space or mend the disk; it goes on by itself. If the file is damaged, stop and restore.")
            return Told(one.code, True, one.subject, title, text, do, page="/machine")
        case Kind.STOPPING:
            return Told(one.code, True, "", _("The node is stopping"), _("It takes nothing new."), _("Wait."))
        case Kind.NEARLY_FULL:
            title = _("The disk of {folder} is nearly full").format(folder=one.subject)
            text = _("When it is full, nothing more is taken. Nothing that was accepted is lost.")
            do = _("Free space, or move the node to a larger disk.")
            return Told(one.code, False, one.subject, title, text, do, page="/machine")
        case Kind.NO_BACKUP:
            title = _("No backup was made lately")
            text = _("This home knows of none in the last two days, or of none at all.")
            do = _("Make one now, and then every day by a timer.")
            command = f"comity-node backup {home} /backup/NAME"
            return Told(one.code, False, "", title, text, do, command=command, page="/backups")
        case Kind.NOT_RENEWED:
            title = _("The newest checkpoint cannot be signed anew")
            text = _said(problem)
            do = _("Look at the disk of the checkpoint file. After ten minutes partners call this log's answers stale.")
            return Told(one.code, False, one.subject, title, text, do, page="/log")
        case _:
            title = _("This node takes nothing now")
            do = advice_text(problem.code) if problem is not None else ""
            acts = ("directory",) if one.kind is Kind.NO_DIRECTORY else ()
            return Told(one.code, one.failing, one.subject, title, _said(problem), do, acts, page="/log")


def _said(problem: ComityError | None) -> str:
    return "" if problem is None else _(problem.detail)
