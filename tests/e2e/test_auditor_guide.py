"""An auditor types docs/auditor-guide.md from its first command to its last, on mirrors of nodes that run.

The guide's commands run in its order, as they stand; :data:`STEPS` says for each what was there before, and what the
guide promises of it. A command that is added, changed or moved in the guide fails until it has its step. What the
auditor then holds is verified by programs that are not ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from exchange.demo.processes import Commands
from exchange.desk.desk import Desk
from exchange.evidence.timestamps import load_roots
from exchange.settings import Home
from keys.local.files import write_file
from keys.local.tile_folder import read_items
from keys.secrets.keystore import Keystore
from protocol.log.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from protocol.log.proof import decode_tlog_proof
from protocol.log.scoped import Withheld
from tests.conftest import require, require_program
from tests.e2e.guide import commands, typed
from tests.interop.go_log import GoRefusedError, verify_log_with_go, verify_proofs_with_go
from tests.interop.node_program import run_node
from tests.interop.pymerkle_log import tree_of_pymerkle
from tests.unit.exchange.test_report_sign import PASSPHRASE as SIGNING_PASSPHRASE
from tests.unit.exchange.test_report_sign import p12
from tests.unit.exchange.test_timestamps import Authority, make_authority, served
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import FEDERATION, PASSPHRASE, World, make_homes, request_draft

PROGRAMS = Path(__file__).resolve().parents[2]
GUIDE = "auditor-guide.md"
GUIDES_ID = "01a20b16-cef1-7175-a0cc-88f5831eaab2"
GUIDES_PROOF = "2f9d8b1c6a3e4f50-two-trees-9c1d2e3f4a5b6c7d.proof"
FONT = Path("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf")
PROVED = {"SubmissionAcceptance", "RelayAcceptance", "ContentConsignment", "ContentHandover", "ContentAccessTracking"}


@dataclass
class Audit:
    """The folder in which the auditor and the office type, and what they know."""

    world: World
    now: datetime
    words: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.world.root / "work"

    def mirror(self, node: str) -> Path:
        return self.folder / "auditor" / "mirrors" / node

    def day(self, days: int) -> str:
        return f"{self.now + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"

    async def type(self, line: str, *, code: int = 0) -> str:
        """Type a command; who names no home is the office 24-7@jp."""
        environment = {
            "COMITY_HOME": str(self.world.root / "desk-jp"),
            "COMITY_PASSPHRASE_FILE": str(self.world.commands.passphrase_file),
        }
        return await asyncio.to_thread(typed, line, self.folder, environment, code=code)

    async def lines_up(self, node: str) -> None:
        """Mirror until the partner has cosigned all that is there, and the mirror's second head says so too."""
        second = self.mirror(node) / "cosigned" / "checkpoint"
        async with asyncio.timeout(WITHIN_S):
            while True:
                log = json.loads(await self.type(f"comity audit mirror {node} --home auditor --json"))
                met = log["witnessed"]["met"] and log["witnessed"]["size"] == log["size"]
                if met and second.exists() and parse_checkpoint(second.read_bytes()).size == log["size"]:
                    return


# --- What happens between the commands ---


async def enrolled(audit: Audit) -> None:
    """The nation signs the request; the nodes start; Tokyo asks Paris, whose officer opens it."""
    made = audit.world
    made.federation.enrol(Home(audit.folder / "auditor").enrolment, audit.now)
    await made.start("jp")
    async with Desk.open(made.root / "desk-jp", PASSPHRASE) as tokyo:
        sent = await tokyo.messages.send(request_draft())
        # Paris is away: so the message waits, and can be carried.
        home, carried = made.federation.node_home("jp"), audit.folder / "carried.bundle"
        await made.commands.node("bundle", "export", str(home), "--to", "fr", str(carried))
        await made.start("fr")
        async with Desk.open(made.root / "desk-fr", PASSPHRASE) as paris:

            async def arrived(desk: Desk) -> bool:
                return any(row.id == sent.id for row in await desk.messages.inbox())

            await paris.wait_for(arrived)
            await paris.messages.show(sent.id)
            await paris.messages.sync()

        async def proved(desk: Desk) -> bool:
            return {row.event for row in await desk.messages.receipts(sent.id) if row.verified} >= PROVED

        await tokyo.wait_for(proved)
    audit.words[GUIDES_ID] = str(sent.id)


async def mirrors_are_cosigned(audit: Audit) -> None:
    for node in ("jp", "fr"):
        await audit.lines_up(node)


async def a_mirror_elsewhere(audit: Audit) -> None:
    shutil.copytree(audit.mirror("jp"), audit.folder / "evidence" / "jp")


async def fr_signed_another_tree(audit: Audit) -> None:
    """Nothing contradicts yet; then the mirror keeps a second head of the same size."""
    assert "Nothing at hand contradicts" in await audit.type("comity audit prove fr --home auditor", code=5)
    home, origin = audit.world.federation.node_home("fr"), f"{FEDERATION}/fr"
    signer = Keystore.open(home / "keystore.cbor", PASSPHRASE).log_signer(origin)
    head = parse_checkpoint((audit.mirror("fr") / "checkpoint").read_bytes())
    note = sign_checkpoint(Checkpoint(origin, head.size, bytes(32)), signer, audit.now)
    (audit.mirror("fr") / "checkpoint.conflict").write_bytes(note)
    assert "log-fork" in await audit.type("comity audit verify fr --home auditor", code=3)


async def the_proof_has_its_name(audit: Audit) -> None:
    (found,) = (audit.folder / "auditor/mirrors/misbehaviour").glob("*-two-trees-*.proof")
    audit.words[GUIDES_PROOF] = found.name
    (audit.mirror("fr") / "checkpoint.conflict").unlink()


async def a_bag_by_hand(audit: Audit) -> None:
    """The bundle is unpacked, and its lists hold."""
    fingerprint = (await audit.type("comity evidence root --home auditor")).partition(": ")[2]
    audit.words["FINGERPRINT"] = f"'{fingerprint.strip()}'"
    with zipfile.ZipFile(audit.folder / "evidence.zip") as packed:
        packed.extractall(audit.folder / "unpacked")
    (bag,) = (audit.folder / "unpacked").iterdir()
    bag.rename(audit.folder / "bag")
    shutil.copy(audit.folder / "bag" / "verify_bag.py", audit.folder)
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        check = [require_program("sha256sum"), "--strict", "--quiet", "-c", manifest]
        await asyncio.to_thread(subprocess.run, check, cwd=audit.folder / "bag", check=True, timeout=WITHIN_S)


async def a_key_to_sign_with(audit: Audit) -> None:
    p12(audit.folder / "board.p12")
    write_file(audit.folder / "secret", SIGNING_PASSPHRASE, mode=0o600)


async def the_head_was_kept(audit: Audit) -> None:
    (audit.folder / "head-of-march.txt").write_text(await audit.type("comity records head"), "utf-8")


async def plays_elsewhere(audit: Audit, line: str) -> None:
    """``test_scenarios`` plays the cases, and ``test_demo`` goes on with a federation that was kept."""


async def stamped(audit: Audit, line: str) -> None:
    """The bundle with a token of an authority that OpenSSL plays."""
    require_program("openssl")
    authority = make_authority(audit.world.root / "authority")
    shutil.copy(authority.roots, audit.folder / "authority.pem")
    async with served(authority.reply) as url:
        said = await audit.type(line.replace("http://timestamp.example.org", url))
    assert "timestamps: 1" in said


async def stamped_later(audit: Audit, line: str) -> None:
    """The same authority stamps the same bundle once more."""
    folder = audit.world.root / "authority"
    authority = Authority(folder, load_roots((folder / "root.pem").read_bytes())[0])
    async with served(authority.reply) as url:
        said = await audit.type(line.replace("http://timestamp.example.org", url))
    assert "timestamps added: 1; in all: 2" in said


async def looked_at(audit: Audit, line: str) -> None:
    """The view runs, is entered by the code that it prints, and ends with Ctrl-C."""
    environment = {**os.environ, "COMITY_PASSPHRASE_FILE": str(audit.world.commands.passphrase_file), "LANGUAGE": "en"}
    words = [sys.executable, "-m", "exchange.cli.main", *line.split()[1:], "--json"]
    view = await asyncio.create_subprocess_exec(
        *words, cwd=audit.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert view.stdout is not None
        said = json.loads(await asyncio.wait_for(view.stdout.readline(), WITHIN_S))
        here = urlsplit(said["address"])
        named = {"Host": here.netloc, "Origin": said["address"], "Sec-Fetch-Site": "same-origin"}
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{here.port}", headers=named, cookie_jar=jar) as browser:
            async with browser.post("/sign-in", data={"code": said["code"]}, allow_redirects=False) as entered:
                assert entered.status == 303
            async with browser.get("/") as logs:
                assert "Verified, no findings." in await logs.text()
    finally:
        view.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(view.wait(), WITHIN_S) == 130


async def without_comity(audit: Audit, line: str) -> None:
    """The program in the bundle runs isolated, in a process of its own."""
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]
    command = [sys.executable, *words[1:]]
    run = await asyncio.to_thread(
        subprocess.run, command, cwd=audit.folder, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    # The signatures of tokens are for OpenSSL to check, and what was not checked is no success.
    assert run.returncode == 3, run.stdout + run.stderr
    assert "FAILS" not in run.stdout
    assert "NOT CHECKED, and so no success: timestamps/1.tst, timestamps/2.tst\n" in run.stdout


async def proofs_without_comity(audit: Audit, line: str) -> None:
    """The program runs isolated, over what was written by `audit trace`."""
    words = line.split()
    command = [sys.executable, words[1], str(PROGRAMS / words[2]), *words[3:]]
    run = await asyncio.to_thread(
        subprocess.run, command, cwd=audit.folder, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("holds    ") == 6


# --- The commands, as they stand in the guide ---


@dataclass(frozen=True)
class Step:
    """One command of the guide: what comes before it, what its output says, and ``run`` if it is not simply typed."""

    line: str
    says: tuple[str, ...] = ()
    before: Callable[[Audit], Awaitable[None]] | None = None
    run: Callable[[Audit, str], Awaitable[None]] | None = None
    extra: str = ""

    async def take(self, audit: Audit) -> None:
        """Do it, with the guide's placeholders replaced."""
        if self.before is not None:
            await self.before(audit)
        line = self.line + self.extra
        for written, meant in audit.words.items():
            line = line.replace(written, meant)
        if self.run is not None:
            await self.run(audit, line)
            return
        said = await audit.type(line)
        for text in self.says:
            assert text in said, f"{line}\n{said}"


INIT = 'comity init audit@jp --auditor --bootstrap bootstrap-jp.json --office Inspectorate --agency "Board of Audit"'
MONTH = "--from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z"
STEPS = (
    Step("comity demo --scenario all --keep demo", run=plays_elsewhere),
    Step(f"{INIT} --home auditor", ("enrolment.json",), extra=" --quick-derivation"),
    Step("comity evidence root --home auditor", (FEDERATION,)),
    Step(
        f"{INIT} --scope-node jp --scope-node fr --scope-from 2026-11-01T00:00:00Z "
        "--scope-to 2026-12-01T00:00:00Z --home limited",
        ("enrolment.json",),
        extra=" --quick-derivation",
    ),
    Step("comity audit mirror jp --home auditor", ("comity-demo/jp", "no findings there."), before=enrolled),
    Step("comity audit mirror fr --home auditor", ("comity-demo/fr", "no findings there.")),
    Step(
        "comity audit verify jp fr --home auditor",
        ("Witnessed up to", "fr (1/1)", "jp (1/1)"),
        before=mirrors_are_cosigned,
    ),
    Step(
        f"comity audit verify jp=/media/evidence/jp {MONTH} --jobs 2 --home auditor",
        ("no findings there.",),
        before=a_mirror_elsewhere,
    ),
    Step(
        "comity audit verify jp --envelopes carried.bundle --home auditor",
        ("Envelopes of this log that were verified: 1", "no findings there."),
    ),
    Step(
        f"comity audit trace {GUIDES_ID} jp fr --proofs proofs --home auditor",
        (*sorted(PROVED), "Entries with their cryptographic proofs in proofs: 6"),
    ),
    Step("comity audit serve jp fr --home auditor", run=looked_at),
    Step(
        f"comity audit reconcile jp fr {MONTH} --proofs proofs --home auditor",
        ("matched", "Unexplained: 0", "Entries with their cryptographic proofs in proofs: 0"),
    ),
    Step("comity audit prove fr --home auditor", ("two-trees",), before=fr_signed_another_tree),
    Step(
        f"comity audit proof auditor/mirrors/misbehaviour/{GUIDES_PROOF} --home auditor",
        ("PROVED (two-trees)",),
        before=the_proof_has_its_name,
    ),
    Step(
        f"comity evidence bag {GUIDES_ID} --out evidence.zip --to 'The auditor' --purpose supervision",
        ("receipts: 6",),
    ),
    Step(
        f"comity evidence disclose {GUIDES_ID} --out disclosure.json --to 'The auditor' --purpose supervision",
        ("in the clear",),
    ),
    Step(
        "comity evidence verify evidence.zip --disclosure disclosure.json --home auditor",
        ("commitment", "disclosure", "holds"),
    ),
    Step(
        f"comity evidence bag {GUIDES_ID} --out evidence.zip --disclose --to 'The court' --purpose supervision"
        " --tsa http://timestamp.example.org --tsa-roots authority.pem",
        run=stamped,
    ),
    Step(
        "comity evidence stamp evidence.zip --tsa http://timestamp.example.org --tsa-roots authority.pem",
        run=stamped_later,
    ),
    Step("python3 -I verify_bag.py evidence.zip --root-sha256 FINGERPRINT", before=a_bag_by_hand, run=without_comity),
    Step(
        "comity audit report jp fr --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --out report.pdf"
        " --home auditor",
        ("report.pdf",),
    ),
    Step(
        "comity audit report jp fr --out report.html --language fr --home auditor",
        ("report.html",),
    ),
    Step(
        "comity audit report jp fr --from 2026-08-01T00:00:00Z --to 2026-09-01T00:00:00Z --out public.html"
        " --suppress-below 5 --home auditor",
        ("public.html",),
    ),
    Step("comity audit report jp fr --json --home auditor", ('"messages": 1',)),
    Step(
        "comity audit report jp fr --out report.pdf --sign-with board.p12 --sign-passphrase-file secret --home auditor",
        ("report.pdf",),
        before=a_key_to_sign_with,
    ),
    Step("comity records head", ("comity-records/24-7@jp",), before=the_head_was_kept),
    Step("comity records export ./records", ("Records written",)),
    Step("comity records verify ./records 24-7@jp --list --home auditor", ("records hold.", "disclosure")),
    Step("comity records verify ./records 24-7@jp --seen head-of-march.txt --home auditor", ("records hold.",)),
    Step("comity audit policy jp --out jp.policy --home auditor", ("jp.policy",)),
    Step("comity audit policy fr --out fr.policy --home auditor", ("fr.policy",)),
    Step(
        "python3 -I exchange/verifiers/verify_proofs.py proofs --policy jp.policy --policy fr.policy",
        run=proofs_without_comity,
    ),
)


# --- The test ---


async def follow(root: Path) -> Audit:
    """All steps, on a federation of two nations with a desk each."""
    now, secret = datetime.now(UTC), root / "passphrase"
    write_file(secret, PASSPHRASE, mode=0o600)
    audit = Audit(World(root, Commands(secret), make_homes(root, PASSPHRASE, secret)), now)
    audit.words["/media"] = str(audit.folder)
    for written, days in (("2026-10-01", -2), ("2026-11-01", -1), ("2026-12-01", 1)):
        audit.words[f"{written}T00:00:00Z"] = audit.day(days)
    audit.folder.mkdir()
    shutil.copy(audit.world.federation.bootstrap("jp"), audit.folder)
    for node in ("jp", "fr"):
        audit.world.make_desk(node)
    try:
        for step in STEPS:
            await step.take(audit)
    finally:
        for running in audit.world.nodes.values():
            await running.stop()
    return audit


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    require(FONT.exists(), "the fonts of reports")
    return asyncio.run(follow(tmp_path_factory.mktemp("audit")))


def test_the_test_knows_every_command_of_the_guide_in_its_order() -> None:
    assert [step.line for step in STEPS] == commands(GUIDE)


def test_every_command_of_the_guide_does_what_the_guide_says(audit: Audit) -> None:
    assert (audit.folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "<html" in (audit.folder / "report.html").read_text("utf-8")


# --- The same with tools of others ---


def vkeys_of(audit: Audit, what: str, kind: int) -> list[str]:
    """The verifier keys of that type in the policy that the guide's last command wrote, of the log or of witnesses."""
    lines = (audit.folder / "jp.policy").read_text("utf-8").splitlines()
    keys = [words[-1] for words in map(str.split, lines) if words[:1] == [what]]
    # C2SP signed-note: <name>+<key id>+<base64 of the type and the key>
    return [key for key in keys if b64decode(key.split("+", 2)[2])[0] == kind]


def test_go_verifies_the_cosigned_mirror_and_the_inclusion_of_every_real_entry(audit: Audit) -> None:
    mirror = audit.mirror("jp")
    head = parse_checkpoint((mirror / "checkpoint").read_bytes())

    (log,), witnesses = vkeys_of(audit, "log", 0x01), vkeys_of(audit, "witness", 0x04)
    report = verify_log_with_go(mirror, log, witnesses)

    assert (report.size, report.root, sorted(report.inclusion)) == (head.size, head.root, list(range(head.size)))
    assert list(report.cosigned) == [f"{FEDERATION}/witness/fr"]
    assert report.ignored_signatures == 2  # ML-DSA-44, of the log and of the witness


@pytest.mark.parametrize("name", ["checkpoint", "cosigned/checkpoint"])
def test_noble_verifies_the_post_quantum_lines_of_a_real_checkpoint(audit: Audit, name: str) -> None:
    vkeys = vkeys_of(audit, "log", 0x06) + vkeys_of(audit, "witness", 0x06)

    told = run_node("cosignatures.mjs", note=(audit.mirror("jp") / name).read_text("utf-8"), vkeys=vkeys)

    assert sorted(told) == [f"{FEDERATION}/jp", f"{FEDERATION}/witness/fr"]


def test_go_verifies_the_proofs_of_a_trace_and_of_a_bundle_as_its_readme_says(audit: Audit) -> None:
    logs = audit.folder / "bag" / "data" / "logs"
    for node in ("jp", "fr"):
        traced = sorted((audit.folder / "proofs").glob(f"{node}-*.tlog-proof"))
        bundled = [
            path
            for path in sorted((audit.folder / "bag" / "data" / "receipts").glob("*.tlog-proof"))
            if parse_checkpoint(decode_tlog_proof(path.read_bytes()).checkpoint).origin.endswith(f"/{node}")
        ]
        proved = verify_proofs_with_go(logs / f"{node}.vkeys", [*traced, *bundled])
        half = len(traced)
        assert half == len(bundled) == {"jp": 2, "fr": 4}[node]
        assert [proof.index for proof in proved[:half]] == [proof.index for proof in proved[half:]]
        assert {(proof.origin, proof.ignored_signatures) for proof in proved} == {(f"{FEDERATION}/{node}", 3)}


def test_go_refuses_the_proof_of_an_entry_that_was_altered(audit: Audit, tmp_path: Path) -> None:
    proof = next(iter((audit.folder / "proofs").glob("jp-*.tlog-proof")))
    shutil.copy(proof, tmp_path)
    entry = bytearray(proof.with_suffix(".entry").read_bytes())
    entry[-1] ^= 1
    (tmp_path / proof.with_suffix(".entry").name).write_bytes(entry)
    with pytest.raises(GoRefusedError):
        verify_proofs_with_go(audit.folder / "bag/data/logs/jp.vkeys", [tmp_path / proof.name])


def test_pymerkle_agrees_on_the_root_and_on_the_inclusion_of_every_real_entry(audit: Audit) -> None:
    for node in ("jp", "fr"):
        mirror = audit.mirror(node)
        head = parse_checkpoint((mirror / "checkpoint").read_bytes())
        # Of another nation's log it is a scoped bundle, in which nothing is withheld here.
        entries = [item for item in read_items(mirror, 0, head.size) if not isinstance(item, Withheld)]

        tree = tree_of_pymerkle(entries)

        assert tree.root == head.root
        for path in (audit.folder / "proofs").glob(f"{node}-*.tlog-proof"):
            proof = decode_tlog_proof(path.read_bytes())
            assert list(proof.path) == tree.inclusion[proof.index]
