"""``comity-node cards files``: who takes evidence files, and by which nodes those of a nation pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import node.cli._auditors  # noqa: F401 - a command of the same group
from node.cli._federation import Folder, Keys, Registry, card, change_card, now
from node.cli._options import NationKeys
from node.cli._output import AsJson, edge
from node.cli._review import Approval, State
from node.cli._secrets import PassphraseFile
from node.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from keys.directory.cards import Card


@card.command("files")
def files(
    folder: Folder,
    holder: Annotated[str, typer.Argument(help=_("The node or contact point whose card it is."))],
    key: NationKeys,
    registry: Registry,
    max_bytes: Annotated[
        int | None,
        typer.Option("--max-bytes", min=1, help=_("So many bytes the files of one message may have together.")),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help=_("It takes no files."))] = False,
    through: Annotated[
        list[str] | None,
        typer.Option("--through", help=_("Files of this nation pass by this node; may be repeated.")),
    ] = None,
    rest: Annotated[
        list[str] | None,
        typer.Option("--rest", help=_("Files may rest at this node beyond the hand-over; may be repeated.")),
    ] = None,
    any_way: Annotated[bool, typer.Option("--any-way", help=_("Files pass by any node, and rest at any."))] = False,
    keys: Keys = None,
    state: State = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Say on a card whether its node or desk takes evidence files, of how many bytes, and by which nodes they pass.

    An option that is not given changes nothing. Senders obey it with their next directory. Example: comity-node cards
    files directory jp --through fr --through nl --keys nation-jp.cbor --key justice --registry registry
    """
    with edge(as_json):
        from keys.members.federation import with_files

        ways = {"through": through, "rest": rest}
        named = {name: tuple(nodes) for name, nodes in ways.items() if nodes}
        if sum((none, any_way, bool(named))) > 1 or (none and max_bytes) or not (none or any_way or named or max_bytes):
            raise UsageError("say --none, or how many bytes, and by which nodes or --any-way")
        at = now()
        said: dict[str, Any] = {**named, **(dict.fromkeys(ways) if any_way else {})}
        said |= {} if max_bytes is None else {"max_total_bytes": max_bytes}

        def changed(card: Card) -> Card:
            return with_files(card, None if none else said, at)

        change_card(Path(folder), holder, changed, key, registry, Approval(keys, state), passphrase_file, as_json)
