"""``comity-node cards auditors``: what auditors of other nations may read of this nation's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli._federation import Folder, Keys, Registry, card, change_card, now
from node.cli._options import NationKeys
from node.cli._output import AsJson, edge
from node.cli._review import Approval, State
from node.cli._secrets import PassphraseFile
from node.i18n import _
from protocol.errors import UsageError


@card.command("auditors")
def auditors(
    folder: Folder,
    node: Annotated[str, typer.Argument(help=_("The node whose log it is."))],
    auditor: Annotated[list[str], typer.Argument(help=_("Auditors of other nations, such as audit@fr."))],
    reads: Annotated[str, typer.Option("--reads", help=_("all, scoped, nothing, or default to take it back."))],
    key: NationKeys,
    registry: Registry,
    since: Annotated[
        str | None,
        typer.Option("--from", help=_("scoped: what was logged from then on (date and time with time zone).")),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help=_("scoped: what was logged before then (date and time with time zone)."))
    ] = None,
    message: Annotated[
        list[str] | None, typer.Option("--message", help=_("scoped: this message, by its whole id; may be repeated."))
    ] = None,
    keys: Keys = None,
    state: State = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Say on the node's card what auditors of other nations may read of its log.

    Without a word there, each reads entries of messages from and to its own nation. Example: comity-node cards
    auditors directory jp audit@fr --reads all --keys nation-jp.cbor --key justice --registry registry
    """
    with edge(as_json):
        from keys.directory.cards import NodeCard
        from keys.members.federation import with_foreign_auditors

        scope = {"since": _instant(since), "until": _instant(until), "messages": message}
        given = {name: value for name, value in scope.items() if value}
        if bool(given) != (reads == "scoped"):
            raise UsageError("--from, --to and --message say what --reads scoped shows")
        at = now()

        def changed(card: object) -> NodeCard:
            if not isinstance(card, NodeCard):
                raise UsageError(f"{node} is not a node: only a node has a log")
            return with_foreign_auditors(card, _entries(auditor, reads, given), at)

        change_card(Path(folder), node, changed, key, registry, Approval(keys, state), passphrase_file, as_json)


def _entries(auditors: Sequence[str], reads: str, scope: Mapping[str, object]) -> dict[str, dict[str, object] | None]:
    """By auditor the fields of its entry on the card; None to have none. Raises :class:`UsageError`."""
    if reads not in {"all", "scoped", "nothing", "default"}:
        raise UsageError("--reads is all, scoped, nothing or default")
    if reads == "default":
        return dict.fromkeys(auditors)
    said = {"reads": reads, **({"scope": scope} if scope else {})}
    return {auditor: {"auditor": auditor, **said} for auditor in auditors}


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("write an instant as 2026-11-01T00:00:00Z") from None
    if found.tzinfo is None:
        raise UsageError("an instant has an offset, such as Z or +09:00")
    return found
