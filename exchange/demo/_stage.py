"""What every demonstration plays on: a federation of nations, each with a desk, an auditor and a running node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exchange.cli.output import line
from exchange.demo._federation import NATIONS, THIRD_NATION, DemoFederation
from exchange.demo.processes import Commands, RunningNode
from exchange.i18n import _
from keys.local.files import write_file
from protocol.errors import NotFoundError

PASSPHRASE = b"only for this demonstration"
_ZONES = {"jp": "Asia/Tokyo", "fr": "Europe/Paris", "gh": "Africa/Accra"}
_TELEPHONES = {"jp": "+81350000247", "fr": "+33123456789", "gh": "+233302770000"}


class Stage:
    """The folders of the demonstration. ``tell`` prints a line, unless the result is for programs.

    ``third``: a third nation takes part.
    """

    def __init__(self, root: Path, *, quiet: bool, third: bool = False) -> None:
        self.root = root
        self.nations = {**NATIONS, **(THIRD_NATION if third else {})}
        self.tokyo, self.paris = self.desk("jp"), self.desk("fr")
        self.auditor = root / "auditor-jp"
        self._quiet = quiet
        self._running: dict[str, RunningNode] = {}
        passphrase_file = root / "passphrase"
        write_file(passphrase_file, PASSPHRASE + b"\n", mode=0o600)
        self.commands = Commands(passphrase_file)
        self._federation = DemoFederation(root, self.commands, self.nations)

    def desk(self, node: str) -> Path:
        """The home of a nation's desk."""
        return self.root / f"desk-{node}"

    def tell(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            line(text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Found the federation, make the desks, and run the nodes until the block ends."""
        await self._federation.found()
        await self._federation.admit_nations()
        if len(self.nations) == len(NATIONS):
            told = _("1. Two nations joined a federation whose root three holders signed, two of them needed.")
        else:
            told = _("1. Three nations joined a federation whose root three holders signed, two of them needed.")
        self.tell(told)
        await self._make_desks()
        try:
            for node in self.nations:
                await self.start_node(node)
                text = _("The node {node} runs at {url}")
                self.tell("   " + text.format(node=node, url=self._running[node].ready.get("url")))
            yield
        finally:
            for node in list(self._running):
                await self.stop_node(node)

    async def start_node(self, node: str) -> None:
        """Start a node, and wait until it is ready."""
        self._running[node] = await self.commands.start_node(self._federation.node_home(node))

    async def stop_node(self, node: str) -> None:
        """Stop a node that runs."""
        await self._running.pop(node).stop()

    async def _make_desks(self) -> None:
        desks = [
            (self.tokyo, "24-7@jp", "Cyber Terror Response Division", "National Police Agency of Japan", "Sato Yui"),
            (self.paris, "24-7@fr", "Office anti-cybercriminalité", "Police nationale", "Camille Martin"),
            (self.auditor, "audit@jp", "Inspectorate", "Board of Audit and Inspection", None),
            (self.root / "auditor-fr", "audit@fr", "Contrôle interne", "Cour des comptes", None),
        ]
        if "gh" in self.nations:
            unit = "Ghana Police Service"
            desks.append((self.desk("gh"), "24-7@gh", "Cybercrime Unit", unit, "Ama Mensah"))
        enrolments: dict[str, list[Path]] = {}
        for home, address, office, agency, officer in desks:
            node = address.partition("@")[2]
            who = ["--auditor"] if officer is None else ["--officer", officer, "--telephone", _TELEPHONES[node]]
            made = await self.commands.comity(
                home,
                "init",
                address,
                "--bootstrap",
                str(self._federation.bootstrap(node)),
                "--office",
                office,
                "--agency",
                agency,
                "--quick-derivation",
                "--time-zone",
                _ZONES[node],
                *who,
            )
            enrolments.setdefault(node, []).append(Path(made["enrolment"]))
        await self._federation.enrol(enrolments)
        self.tell(_("2. Each nation signed the cards of its contact point and of an auditor."))


def example_folders() -> tuple[Path, Path]:
    """Where the examples lie: in an installed package, and in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return package / "examples", package.parent / "examples"


def example(name: str) -> Path:
    """The file of an example; raises :class:`NotFoundError`."""
    for folder in example_folders():
        if (folder / name).is_file():
            return folder / name
    raise NotFoundError(f"the example {name} is not installed")
