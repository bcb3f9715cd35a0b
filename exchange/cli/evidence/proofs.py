"""``comity audit prove`` and ``comity audit proof``: making proofs that a node lied, and verifying them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, NodeArgument, PassphraseOption, run, with_desk
from exchange.cli.audit.audit import app as audit
from exchange.cli.audit.mirrors import mirror_of
from exchange.cli.output import line, print_json, progress, safe, table
from exchange.i18n import _, labelled
from keys.local.given_files import FileKind, require_file, require_folder, take
from keys.local.terminal import NOTHING, UNCHECKED
from protocol.address import node_of
from protocol.encoding.phrase import phrase
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    LogUnavailableError,
    MalformedError,
    NoMirrorError,
    NotFoundError,
)

if TYPE_CHECKING:
    from exchange.audit.misbehaviour import Held
    from exchange.desk.desk import Desk
    from protocol.log.checkpoint import LogVerifier
    from protocol.log.remote import Fetch
    from protocol.misbehaviour.proof import MisbehaviourKind, Proof
    from protocol.misbehaviour.verify import Proved
    from protocol.receipt import Receipt

# The meaning of each kind, in a sentence that needs no other.
_MEANING = {
    "two-trees": _("The node signed two different logs of the same length."),
    "fork": _("A tree that the node signed later does not begin with one that it had signed before."),
    "index-twice": _("Two different entries stand at one place of the node's log."),
    "rewritten": _("The node gave a receipt for an entry, and put something else in its place."),
    "dropped": _("The node gave a receipt for an entry, and its log no longer has the part that held it."),
    "shrunk": _("The node signed a shorter log after a longer one."),
    "back-dated": _("An entry says a time at which, as the node signed, it was not there yet."),
    "post-dated": _("An entry says a time after the node had signed that it was there."),
}


@audit.command(
    help=_(
        "Prove that a node lied, from the mirror, checkpoints and receipts at hand."
        " Exit code 5: nothing contradicts. 6: not everything could be compared."
        "\n\nExample: comity audit prove jp --evidence evidence.zip"
    )
)
def prove(
    node: NodeArgument,
    mirror: Annotated[
        Path | None,
        typer.Option(
            "--mirror", help=_("The mirror of its log, else mirrors/NODE in the home; proofs are written beside it.")
        ),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help=_("A checkpoint that it signed; repeatable."))
    ] = None,
    evidence: Annotated[
        list[Path] | None,
        typer.Option("--evidence", help=_("An evidence bag whose receipts count; repeatable.")),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help=_("Do not ask the node for its present log."))] = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove a lie."""

    async def work(desk: Desk) -> int | None:
        from exchange.audit.misbehaviour import folder_source
        from exchange.audit.misbehaviour import prove as prove_from
        from exchange.evidence.misbehaviour import FOLDER, keep_proof

        verifier = await desk.judged(lambda directory: directory.log_verifier(node))
        folder = mirror if mirror is not None else mirror_of(home, node)[1]
        require_folder(folder, FileKind.MIRROR)
        for file in checkpoint or ():
            require_file(file, FileKind.CHECKPOINT)
        for file in evidence or ():
            require_file(file, FileKind.EVIDENCE)
        own, unusable = _own_heads(folder, verifier)
        carried, unread = _receipts_in(evidence or [])
        held = _held(verifier.origin, own, checkpoint or [], carried)
        sources: list[Fetch] = [folder_source(folder)]
        if not offline:
            client = desk.node_client(node)
            held = _with_note(held, await client.checkpoint())
            sources.append(lambda path: client.get(f"/log/{path}"))
        held, unseen, not_read = _with_misdated(held, folder, verifier)
        with progress(_("comparisons"), as_json=as_json) as moved:
            proven = await prove_from(held, verifier, sources, moved)
        kept = [(proof, keep_proof(folder.parent / FOLDER, proof)) for proof in proven.proofs]
        undecided = sorted({problem.detail for problem in (*unusable, *unread, *not_read, *proven.undecided)})
        _show_proven(node, kept, undecided, unseen, as_json=as_json)
        if kept:
            return None
        return UNCHECKED if undecided or unseen else NOTHING

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@audit.command(
    help=_("Verify a proof that a node lied, and say what it proves.\n\nExample: comity audit proof jp.proof")
)
def proof(
    file: Annotated[Path, typer.Argument(help=_("The proof file."))],
    card: Annotated[
        Path | None, typer.Option("--card", help=_("The accused node's card, in place of a desk's directory."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a proof."""
    from protocol.misbehaviour.proof import decode_proof
    from protocol.misbehaviour.verify import verify_proof

    async def with_directory(desk: Desk) -> None:
        told = take(file, FileKind.PROOF, decode_proof)
        _show_proof(
            file,
            await desk.judged(lambda directory: verify_proof(told, directory.log_verifier(told.origin))),
            as_json=as_json,
        )

    async def with_card() -> None:
        told = take(file, FileKind.PROOF, decode_proof)
        verifier = take(card or file, FileKind.NODE_CARD, lambda content: _verifier_of(content, told.origin))
        _show_proof(file, verify_proof(told, verifier), as_json=as_json)

    run(with_card if card is not None else with_desk(home, passphrase_file, with_directory), as_json=as_json)


# --- Inside ---


def _own_heads(mirror: Path, verifier: LogVerifier) -> tuple[list[bytes], list[ComityError]]:
    """Every head in the mirror that the log signed, and why others of them cannot be used."""
    from keys.local.tile_folder import CHECKPOINT, CONFLICT, COSIGNED, head_paths, read_resource
    from protocol.log.checkpoint import verify_checkpoint

    if not (mirror / CHECKPOINT).exists():
        raise NoMirrorError(phrase("there is no mirror in {folder}", folder=mirror))
    notes: list[bytes] = []
    unusable: list[ComityError] = []
    for path in (CHECKPOINT, CONFLICT, COSIGNED, *head_paths(mirror)):
        if not (mirror / path).exists():
            continue
        try:
            notes.append(verify_checkpoint(read_resource(mirror, path), verifier).note)
        except ComityError as problem:
            unusable.append(CheckpointInvalidError(phrase("{path}: {detail}", path=path, detail=problem.detail)))
    return list(dict.fromkeys(notes)), unusable


def _receipts_in(bags: list[Path]) -> tuple[list[Receipt], list[ComityError]]:
    """The receipts in evidence bags, and why there are others that cannot be read. Nothing is verified."""
    from exchange.evidence.bag_reader import MAX_BAG_BYTES, read_bag

    found: list[Receipt] = []
    problems: list[ComityError] = []
    for path in bags:
        receipts, why = take(path, FileKind.EVIDENCE, read_bag, max_bytes=MAX_BAG_BYTES).receipts()
        found += receipts
        problems += [MalformedError(phrase("{path}: {why}", path=path, why=why))] if why else []
    return found, problems


def _held(origin: str, own: list[bytes], checkpoints: list[Path], receipts: list[Receipt]) -> Held:
    from exchange.audit.misbehaviour import Held
    from protocol.log.checkpoint import parse_checkpoint

    notes = own + [take(path, FileKind.CHECKPOINT, _whole_note) for path in checkpoints]
    return Held(
        tuple(dict.fromkeys(note for note in notes if parse_checkpoint(note).origin == origin)),
        tuple(one for one in receipts if parse_checkpoint(one.checkpoint).origin == origin),
    )


def _whole_note(content: bytes) -> bytes:
    from protocol.log.checkpoint import parse_checkpoint

    parse_checkpoint(content)
    return content


def _with_note(held: Held, note: bytes) -> Held:
    from exchange.audit.misbehaviour import Held

    return Held(tuple(dict.fromkeys((*held.notes, note))), held.receipts)


def _with_misdated(held: Held, mirror: Path, verifier: LogVerifier) -> tuple[Held, int, list[ComityError]]:
    """With a receipt of the first entry of each kind of false time in the mirror.

    Also how many entries could not be seen, and why the others were not looked through, if they were not.
    """
    from exchange.audit.misbehaviour import Held, misdated_entries
    from keys.local.tile_folder import CHECKPOINT, read_resource

    unseen: list[int] = []
    found: dict[MisbehaviourKind, Receipt] = {}
    problems: list[ComityError] = []
    try:
        for kind, receipt in misdated_entries(
            mirror, read_resource(mirror, CHECKPOINT), held.notes, verifier, unseen.append
        ):
            found.setdefault(kind, receipt)
    except ComityError as problem:
        # comity audit verify says what is wrong with the mirror.
        text = _("The entries of the mirror were not looked through")
        problems.append(LogUnavailableError(phrase("{text}: {detail}", text=text, detail=problem.detail)))
    return Held(held.notes, (*held.receipts, *found.values())), len(unseen), problems


def _verifier_of(card: bytes, origin: str) -> LogVerifier:
    from keys.directory.cards import parse_node_card
    from keys.directory.view import log_verifier_of

    logs = [log for log in parse_node_card(card).logs() if log.origin == origin]
    if not logs:
        raise NotFoundError(_("the card does not list the log {origin}").format(origin=origin))
    return log_verifier_of(logs)


def _show_proven(
    node: str, kept: list[tuple[Proof, Path]], undecided: list[str], unseen: int, *, as_json: bool
) -> None:
    if as_json:
        proofs = [{"kind": told.kind, "file": str(path)} for told, path in kept]
        print_json({"node": node, "proofs": proofs, "undecided": undecided, "partial": bool(unseen), "unseen": unseen})
        return
    for reason in undecided:
        line(labelled(_("Not decided"), safe(reason)))
    if unseen:
        line(
            _("PARTIAL: entries of the mirror that are withheld, and were not looked at: {count}.").format(count=unseen)
        )
    if not kept:
        text = _("Nothing at hand contradicts the log of {node}.")
        if undecided or unseen:
            text = _("NOT DECIDED: of what could be compared, nothing contradicts the log of {node}.")
        line(text.format(node=node))
        return
    table(
        _("Cryptographic proofs"),
        [_("Kind"), _("File"), _("What it proves")],
        [(told.kind.value, path, _(_MEANING[told.kind.value])) for told, path in kept],
    )


def _show_proof(file: Path, proved: Proved, *, as_json: bool) -> None:
    checkpoints: list[dict[str, Any]] = [
        {"size": seen.checkpoint.size, "root": seen.checkpoint.root, "signed_at": seen.signed_at}
        for seen in proved.checkpoints
    ]
    if as_json:
        print_json(
            {
                "proved": True,
                "kind": proved.kind,
                "origin": proved.origin,
                "node": node_of(proved.origin),
                "checkpoints": checkpoints,
                "index": proved.index,
                "at": proved.at,
                "former_keys": proved.former_keys,
            }
        )
        return
    text = _("PROVED ({kind}), {log}: {meaning}")
    line(text.format(kind=proved.kind.value, log=safe(proved.origin), meaning=_(_MEANING[proved.kind.value])))
    for number, seen in enumerate(checkpoints, 1):
        text = _("Checkpoint {number}; entries: {size}; signed at {at}")
        line(text.format(number=number, size=seen["size"], at=safe(seen["signed_at"])))
    if proved.index is not None:
        text = _("Entry {index}") if proved.at is None else _("Entry {index}, which gives the time {at}")
        line(text.format(index=proved.index, at=safe(proved.at)))
    if proved.former_keys:
        line(_("A checkpoint is signed with keys that were replaced since: ask whether they were ever stolen."))
