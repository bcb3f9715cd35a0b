"""``comity-node run``, ``health``, ``log``, ``monitor``: what an operator does with a node that is set up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from keys.local.terminal import OK, UNAVAILABLE, write_json
from node.cli._output import AsJson, edge, show
from node.cli._secrets import PassphraseFile, open_token, read_passphrase
from node.cli._setup import Home
from node.i18n import _
from node.operations.garbage import settle
from protocol.errors import NotFoundError, UnavailableError, UsageError

log = typer.Typer(no_args_is_help=True)
monitor = typer.Typer(no_args_is_help=True)


def run(
    home: Home,
    without_witnesses: Annotated[
        bool,
        typer.Option(
            "--without-witnesses",
            help=_("Sign without having asked a partner how far the log went: only if nothing was put back."),
        ),
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C. When it serves it prints one JSON line: event, node, url, admin."""
    import asyncio

    with edge(as_json):
        from keys.secrets.keystore import Keystore
        from keys.transport.segments import give_freed_memory_back
        from node.server import Node
        from node.settings import NodeHome, NodeSettings

        give_freed_memory_back()
        files = NodeHome(home)
        settings = NodeSettings.load(files.settings)
        passphrase = read_passphrase(passphrase_file or settings.passphrase_file)
        keystore = Keystore.open(files.keystore, passphrase, open_token(settings.token_file))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(_serve(lambda: Node(files, settings, keystore, without_witnesses=without_witnesses)))
    raise typer.Exit(code)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # not on this platform: the standard loop does
        return None
    return uvloop.new_event_loop


async def _serve(make: Any) -> int:
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    node = make()
    await node.start()
    settle()
    ready = {"event": "ready", "node": node.context.name, "url": node.url, "admin": node.admin_url}
    write_json(ready)
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(node.failed.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await node.stop()
    if node.failure is not None and not stop.is_set():
        raise node.failure
    return UNAVAILABLE if node.failed.is_set() and not stop.is_set() else OK


def health(
    home: Home,
    url: Annotated[str | None, typer.Option(help=_("The admin listener, if not the one in the settings."))] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the running node for its state: 0 ok or attention, 4 failing or not running."""
    import asyncio

    with edge(as_json):
        from urllib.error import HTTPError, URLError
        from urllib.request import ProxyHandler, build_opener

        from node.cli._running import is_running
        from node.settings import NodeHome, NodeSettings

        settings = NodeSettings.load(NodeHome(home).settings) if url is None else None
        base = url if settings is None else f"http://{settings.admin}"
        try:
            # No proxy of the environment: the listener is on this machine, and its answer is for nobody else.
            with build_opener(ProxyHandler({})).open(f"{base}/health", timeout=10) as response:
                values = json.load(response)
        except HTTPError as problem:
            values = json.load(problem)
        except (URLError, OSError, ValueError) as problem:
            raise UnavailableError(f"no node answers at {base}") from problem
        if settings is not None and not asyncio.run(is_running(home / settings.control)):
            raise UnavailableError(f"the node of this home does not run; another one answers at {base}")
        show(as_json, values, lambda: f"{values['status']}: {', '.join(values['problems']) or _('no problems')}")
    raise typer.Exit(UNAVAILABLE if values["status"] == "failing" else OK)


@log.command()
def status(home: Home, as_json: AsJson = False) -> None:
    """The last checkpoint that this node signed, and whether it may go on signing. The node may be running.

    Example: comity-node log status jp
    """
    with edge(as_json):
        from node.log.checkpoint_file import CheckpointFile
        from node.log.marks import LogMarks
        from node.settings import NodeHome, NodeSettings
        from protocol.encoding.instants import to_text
        from protocol.log.checkpoint import claimed_time, parse_checkpoint

        settings = NodeSettings.load(NodeHome(home).settings)
        note = CheckpointFile(home / settings.checkpoint_file).read()
        if note is None:
            raise NotFoundError("this node has not signed a checkpoint yet")
        checkpoint = parse_checkpoint(note)
        signed_at = claimed_time(note)
        values = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "signed_at": None if signed_at is None else to_text(signed_at),
            "state": LogMarks(home).state,
        }
        show(as_json, values, lambda: "\n".join(f"{key}: {value}" for key, value in values.items()))


@log.command()
def count(home: Home, as_json: AsJson = False) -> None:
    """The log in the database: its size, its root, and how many entries of each event. The node may be running.

    Example: comity-node log count jp
    """
    import asyncio

    with edge(as_json):
        from node.operations.inspection import open_inspection
        from node.settings import NodeHome, NodeSettings

        database = home / NodeSettings.load(NodeHome(home).settings).database

        async def read() -> dict[str, Any]:
            async with open_inspection(database) as inspection:
                return await inspection.log()

        values = asyncio.run(read())
        events = values["events"]
        text = [f"{name}: {values[name]}" for name in ("origin", "size", "root")]
        show(as_json, values, lambda: "\n".join([*text, *(f"{name}: {number}" for name, number in events.items())]))


@monitor.command("status")
def monitor_status(home: Home, as_json: AsJson = False) -> None:
    """The proved checkpoint of each partner's log, the partners whose log contradicted itself and the proofs of it,
    and how far this node's own log is cosigned.

    Example: comity-node monitor status jp
    """
    with edge(as_json):
        from node.monitor.monitor import MonitorState
        from node.monitor.proof_files import ProofFiles
        from node.settings import NodeHome
        from node.witness.cosignatures import Cosignatures
        from protocol.address import node_of
        from protocol.log.checkpoint import parse_checkpoint

        files = NodeHome(home)
        state, proofs = MonitorState.load(files.monitor), ProofFiles(files.misbehaviour)
        own = Cosignatures(files.cosigned).read()
        proved = {node: parse_checkpoint(note).size for node, note in state.proved.items()}
        unsettled = {kept.digest for kept in proofs.open()}
        held = [
            {
                "node": node_of(kept.proof.origin),
                "origin": kept.proof.origin,
                "kind": kept.proof.kind.value,
                "file": str(kept.path),
                "settled": kept.digest not in unsettled,
            }
            for kept in proofs.all()
        ]
        witnessed = None if own is None else parse_checkpoint(own).size
        distrusted = sorted(state.evidence)
        values = {"proved": proved, "distrusted": distrusted, "proofs": held, "witnessed": witnessed}
        lines = [f"{node}: {size}" for node, size in sorted(proved.items())]
        lines += [] if witnessed is None else [_("this node's log, cosigned up to: {size}").format(size=witnessed)]
        lines += [_("{node}: DISTRUSTED").format(node=node) for node in sorted(state.evidence)]
        lines += [f"{row['node']}: {row['kind']}, {row['file']}" for row in held if not row["settled"]]
        show(as_json, values, lambda: "\n".join(lines) or _("nothing is proved yet"))


@monitor.command()
def proof(
    home: Home,
    node: Annotated[str, typer.Argument(help=_("The partner whose log lied."))],
    out: Annotated[Path, typer.Option(help=_("File to write the proof into."))],
    kind: Annotated[str | None, typer.Option(help=_("Which proof, by its kind; else the first by kind."))] = None,
    as_json: AsJson = False,
) -> None:
    """Write a proof that a partner's log lied, for others to verify: with comity audit proof, or without Comity.

    Example: comity-node monitor proof jp fr --out fr.proof
    """
    with edge(as_json):
        from keys.local.files import write_file
        from node.monitor.proof_files import ProofFiles
        from node.settings import NodeHome
        from protocol.address import node_of

        held = [kept for kept in ProofFiles(NodeHome(home).misbehaviour).all() if node_of(kept.proof.origin) == node]
        wanted = [kept for kept in held if kind is None or kept.proof.kind.value == kind]
        if not wanted:
            raise NotFoundError(f"no such proof is held against the log of {node}")
        chosen = wanted[0]
        write_file(out, chosen.written)
        values = {"node": node, "kind": chosen.proof.kind.value, "digest": chosen.digest.hex(), "file": str(out)}
        show(as_json, values, lambda: f"{values['kind']}: {out}")


@monitor.command()
def evidence(
    home: Home,
    node: Annotated[str, typer.Argument(help=_("The partner."))],
    out: Annotated[Path, typer.Option(help=_("Folder to write the checkpoints into."))],
    as_json: AsJson = False,
) -> None:
    """Write the checkpoints with which a partner's log contradicted itself.

    Example: comity-node monitor evidence jp fr --out evidence
    """
    with edge(as_json):
        from keys.local.files import write_file
        from node.monitor.monitor import MonitorState
        from node.settings import NodeHome

        notes = MonitorState.load(NodeHome(home).monitor).evidence.get(node)
        if notes is None:
            raise NotFoundError(f"nothing is held against the log of {node}")
        out.mkdir(parents=True, exist_ok=True)
        names = [out / f"{node}-{number}.checkpoint" for number in range(1, len(notes) + 1)]
        for path, note in zip(names, notes, strict=True):
            write_file(path, note)
        show(as_json, {"files": [str(path) for path in names]}, lambda: "\n".join(map(str, names)))


@monitor.command()
def reinstate(
    home: Home,
    node: Annotated[str, typer.Argument(help=_("The partner to trust again."))],
    as_json: AsJson = False,
) -> None:
    """Trust a partner's receipts again, from its present checkpoint on. Stop the node first; keep the evidence.

    Example: comity-node monitor reinstate jp fr
    """
    with edge(as_json):
        from node.log.sequencer import utc_now
        from node.monitor.reinstate import reinstate_trust
        from node.settings import NodeHome, NodeSettings

        files = NodeHome(home)
        with _stopped(home / NodeSettings.load(files.settings).database) as database:
            reinstate_trust(files, database, node, utc_now())
        show(as_json, {"reinstated": node}, lambda: _("Receipts of {node} count again.").format(node=node))


@monitor.command()
def rebuild(
    home: Home,
    distrusted: Annotated[
        list[str] | None, typer.Option("--distrusted", help=_("A partner whose log contradicted itself; repeatable."))
    ] = None,
    nobody: Annotated[
        bool, typer.Option("--nobody-distrusted", help=_("You know that no partner's log ever contradicted itself."))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a damaged monitor.cbor anew. Stop the node first. The damaged file is kept, and nobody is trusted again.

    Example: comity-node monitor rebuild jp
    """
    with edge(as_json):
        from node.monitor.reinstate import rebuild_monitor
        from node.settings import NodeHome, NodeSettings
        from protocol.address import parse_node

        if distrusted and nobody:
            raise UsageError("name the distrusted partners, or say that there are none")
        files, named = NodeHome(home), [parse_node(one) for one in distrusted or ()]
        with _stopped(home / NodeSettings.load(files.settings).database) as database:
            held = rebuild_monitor(files, database, named, nobody=nobody)
        lines = [_("The monitor's file is made anew. The partners' logs are compared again when the node starts.")]
        lines += [_("{node}: DISTRUSTED").format(node=node) for node in held]
        show(as_json, {"distrusted": held}, lambda: "\n".join(lines))


@contextmanager
def _stopped(database: Path) -> Iterator[Path]:
    """The database of a node that does not run, for the length of a block; raises :class:`StoreInUseError`."""
    from keys.local.files import locked
    from protocol.errors import StoreInUseError

    lock = database.with_name(database.name + ".lock")
    with locked(lock, lambda: StoreInUseError("the node is running; stop it first")):
        yield database
