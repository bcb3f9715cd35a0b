"""What the node says to its operator: one source of sentences for the console, ``comity-node status`` and its JSON.

Each sentence is whole, in the reader's language, with the values put in last. A sentence says what is so and what to
do; names and texts of others are put in as they are, and made harmless where they are shown.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from node.console.attention import BACKUP_WITHIN, CHECKED_WITHIN, DRILLED_WITHIN, Attention, Kind
from node.console.away import DEADLINE, EMERGENCY, TAKES_NOTHING, Away
from node.console.partner_rows import PartnerRow
from node.console.phrases import advice_text, error_text, operator_advice, span, time_text, what_text
from node.i18n import _
from node.recovery.backup_record import BackupRecord
from protocol.errors import ComityError

# Roles of the directory that the registry signs anew every day.
_DAILY = frozenset({"timestamp", "snapshot"})
_NONE_KNOWN = BackupRecord()


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


def headline(told: Sequence[Told], away: int = 0) -> str:
    """The first line of the page: how things are; ``away`` partners take nothing now, and need nobody yet."""
    said = _headline(told)
    if not away:
        return said
    return " ".join((said, _("Partners that take nothing now: {count}.").format(count=away)))


def _headline(told: Sequence[Told]) -> str:
    failing = sum(one.failing for one in told)
    if failing:
        return _("Not serving. Things that stop this node: {count}.").format(count=failing)
    if not told:
        return _("Serving. Nothing needs you.")
    if len(told) == 1:
        return _("Serving. One thing needs you.")
    return _("Serving. Things that need you: {count}.").format(count=len(told))


def told_away(one: Away, rows: Sequence[PartnerRow], now: datetime) -> Told:
    """A partner that takes nothing now, and does not need the operator yet."""
    row = next((row for row in rows if row.node == one.node), None) or PartnerRow(one.node, one.node)
    text = (
        _("Not reachable now: {partner}, since {time} ({span})")
        if one.silent
        else _("Takes nothing now: {partner}, since {time} ({span})")
    )
    title = text.format(partner=row.title, time=time_text(one.since, now), span=span((now - one.since).total_seconds()))
    needs_at = one.needs_at(now)
    if needs_at is None:
        said, do = _("Nothing waits for it."), _("Nothing: it is asked again by itself.")
    else:
        said = " ".join(_waits_said(row, one, now))
        do = _("Nothing yet: it is tried again by itself. It needs you in {span}, if it stays so.").format(
            span=span((needs_at - now).total_seconds())
        )
    acts = ("retry", "test-way") if one.waits else ("test-way",)
    return Told(f"partner-away:{one.node}", False, one.node, title, said, do, acts, page=f"/partners/{one.node}")


def told(
    one: Attention,
    rows: Sequence[PartnerRow],
    home: str,
    now: datetime,
    own: str = "",
    backups: BackupRecord = _NONE_KNOWN,
) -> Told:
    """An attention in words. ``home`` is the home folder of the node ``own``, as commands name it."""
    partner = next((row for row in rows if row.node == one.subject), None)
    name = partner.title if partner is not None else one.subject
    if one.kind is Kind.LIED and one.subject == own:
        return _own_log_lied(one, home)
    return (
        _of_partner(one, partner, name, now, home)
        or _of_directory(one, name, home, now)
        or _of_this_node(one, home, backups)
    )


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
        case Kind.TOO_FEW_WITNESSES:
            since = now if one.at is None else one.at
            return Told(
                one.code,
                False,
                "",
                _("Too few partners have cosigned this log for {span}").format(
                    span=span((now - since).total_seconds())
                ),
                _("Receipts hold. Too few vouch that all see the same history. Who does not: {names}.").format(
                    names=one.cause or "-"
                ),
                _("Test the way to them. If it is open, telephone their operators."),
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
    away = row.away()
    since = away.since if away is not None else now - TAKES_NOTHING
    said = _waits_said(row, away, now)
    if row.past.code:
        said.append(_("Last error: {error}").format(error=error_text(row.past.code, row.past.detail)))
    if not said:
        said.append(_("Each try for 15 minutes failed."))
    pressing = {
        EMERGENCY: _("An emergency waits for {partner}, which has taken nothing for {span}"),
        DEADLINE: _("A deadline is at risk: {partner} has taken nothing for {span}"),
    }
    title = pressing.get(one.cause, _("{partner} has not taken anything for {span}"))
    do = operator_advice(row.past.code)
    if one.cause in pressing:
        do = _("Telephone its operator now, at the number on its card. Then test the way, and try again.")
    return Told(
        one.code,
        False,
        row.node,
        title.format(partner=row.title, span=span((now - since).total_seconds())),
        " ".join(said),
        do,
        ("retry", "test-way"),
        page=f"/partners/{row.node}",
    )


def _waits_said(row: PartnerRow, away: Away | None, now: datetime) -> list[str]:
    """What waits for a partner, a sentence each."""
    emergencies = 0 if away is None else away.waits.emergencies
    said = [
        text.format(count=count)
        for text, count in (
            (_("Emergencies that wait: {count}."), emergencies),
            (_("Messages that wait: {count}."), row.envelopes),
            (_("Receipts that wait: {count}."), row.receipts),
            (_("Messages whose files wait: {count}."), row.file_sets),
        )
        if count
    ]
    if row.waiting_since is not None and row.waits:
        oldest = span((now - row.waiting_since).total_seconds())
        said.append(_("The oldest has waited for {span}.").format(span=oldest))
    deadline = None if away is None else away.waits.deadline
    if deadline is not None and deadline <= now:
        said.append(_("A deadline passed {span} ago.").format(span=span((now - deadline).total_seconds())))
    elif deadline is not None and deadline != row.expires_at:
        said.append(_("The first deadline is in {span}.").format(span=span((deadline - now).total_seconds())))
    if row.expires_at is not None:
        said.append(_("The first expires in {span}.").format(span=span((row.expires_at - now).total_seconds())))
    return said


def _of_directory(one: Attention, name: str, home: str, now: datetime) -> Told | None:
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
            return _expires(one, home, now)
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


def _expires(one: Attention, home: str, now: datetime) -> Told:
    what = one.cause.partition(":")[0]
    thing = what_text(what, one.subject)
    own = what in {"signing-key", "sealing-key", "tls-certificate"}
    at_desk = "@" in one.subject
    if what in _DAILY:
        do = _("Fetch the directory. If that does not help, ask the registry: it must publish every day.")
    elif not own:
        do = _("Tell the holders of that role: they sign a new version, and the registry publishes it.")
    elif at_desk:
        do = _("Tell that office: it changes its keys at its desk.")
    else:
        do = _("Begin new keys, publish the card, then switch. The key runbook says each step.")
    command = f"comity-node rotate begin {home}" if own and not at_desk else ""
    if one.at is None:
        title = _("{thing} ends within a week, or has ended").format(thing=thing)
    elif one.at > now:
        left = span((one.at - now).total_seconds())
        title = _("{thing} ends in {span}").format(thing=thing, span=left)
    else:
        title = _("{thing} ended {span} ago").format(thing=thing, span=span((now - one.at).total_seconds()))
    text = _("After that others refuse it.") if own else _("After that this node goes on, and says so.")
    acts = () if own else ("directory",)
    return Told(one.code, False, one.subject, title, text, do, acts, command, "/directory")


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


def _of_this_node(one: Attention, home: str, backups: BackupRecord) -> Told:
    problem = one.problem
    match one.kind:
        case Kind.DISK:
            title = _("A file of this node cannot be used: {file}").format(file=one.subject)
            text = _("The system says: {cause}.").format(cause=one.cause.rpartition(":")[2])
            do = _("Free space or mend the disk; it goes on by itself. If the file is damaged, stop and restore.")
            if one.of_files:
                text = " ".join((text, _("No evidence files are taken now. Messages go on.")))
            return Told(one.code, one.failing, one.subject, title, text, do, page="/machine")
        case Kind.STOPPING:
            return Told(one.code, True, "", _("The node is stopping"), _("It takes nothing new."), _("Wait."))
        case Kind.NEARLY_FULL:
            title = _("The disk of {folder} is nearly full").format(folder=one.subject)
            text = (
                _("When it is full, no more evidence files are taken. Messages go on.")
                if one.of_files
                else _("When it is full, nothing more is taken. Nothing that was accepted is lost.")
            )
            do = _("Free space, or move the node to a larger disk.")
            return Told(one.code, False, one.subject, title, text, do, page="/machine")
        case Kind.NO_BACKUP | Kind.NOT_CHECKED | Kind.NOT_DRILLED:
            return _backup(one, home, backups)
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


def _backup(one: Attention, home: str, backups: BackupRecord) -> Told:
    folder = "/backup/NAME" if backups.made is None else backups.made.folder
    check = f"comity-node backup-check {home} {shlex.quote(folder)}"
    match one.kind:
        case Kind.NO_BACKUP:
            within = span(BACKUP_WITHIN.total_seconds())
            title = _("No backup was ever made") if backups.made is None else _("No backup was made lately")
            text = (
                _("As far as this home knows, there is none. If this disk is lost, so are messages and the log.")
                if backups.made is None
                else _("The last one that this home knows of is older than {span}.").format(span=within)
            )
            do, command = _("Make one now, and then every day by a timer."), f"comity-node backup {home} /backup/NAME"
        case Kind.NOT_CHECKED:
            within = span(CHECKED_WITHIN.total_seconds())
            title = _("No backup was ever checked") if backups.checked is None else _("No backup was checked lately")
            text = _("Whether one is whole is known only by reading it, at least once in {span}.").format(span=within)
            do, command = _("Check the last one now; this restores it for a trial too."), f"{check} --drill"
        case _:
            within = span(DRILLED_WITHIN.total_seconds())
            never = backups.drilled is None
            title = _("No backup was ever tried out") if never else _("No backup was tried out lately")
            text = _("Whether one can be restored is known only by a trial, at least once in {span}.").format(
                span=within
            )
            do, command = _("Try the last one out now. The trial is removed again."), f"{check} --drill"
    return Told(one.code, False, "", title, text, do, command=command, page="/backups")


def _said(problem: ComityError | None) -> str:
    return "" if problem is None else _(problem.detail)
