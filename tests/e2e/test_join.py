"""A newcomer follows docs/join.md word for word, with the registry's answers, and ends as a member that is reached."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from exchange.demo._ports import free_port
from keys.ceremony.ceremony import Ceremony
from keys.ceremony.ceremony_file import CeremonyFile
from keys.ceremony.review import review
from keys.directory.metadata.repository import SNAPSHOT, TARGETS, TIMESTAMP
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import World, desk, request_draft, sync, world

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "join.md").read_text("utf-8")
# Partners are on this machine in the test, and nowhere else.
ONE_MACHINE = {"COMITY_NODE_ALLOW_NETWORKS": '["127.0.0.0/8"]'}
NEWCOMER, REGISTRY = "newcomer", "registry"


def blocks() -> list[tuple[str, str]]:
    """The guide's shell blocks in order, each with who runs it."""
    found, who = [], NEWCOMER
    for part in re.finditer(
        r"^### The registry$|^## [^\n]*$|^Sign and send it back|^```sh\n(.*?)^```", GUIDE, re.M | re.S
    ):
        if part.group(1) is None:
            who = REGISTRY if part.group(0).startswith("### ") else NEWCOMER
        else:
            found.append((who, part.group(1)))
    assert {who for who, _ in found} == {NEWCOMER, REGISTRY}
    return found


class Laptop:
    """One shell that stays open: what a block exports holds for the next."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.folder = folder
        self.ports = ports
        self.script = f'cd "{folder}"\n'
        self.pids: list[int] = []

    async def run(self, block: str, heard: Mapping[str, str] | None = None) -> str:
        for word, value in {**self.ports, **(heard or {})}.items():
            block = block.replace(word, str(value))
        done = self.script + "set -e\n" + block + '\necho "pid:$!"\n'
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-c", done),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **ONE_MACHINE},
        )
        out, _ = await asyncio.wait_for(shell.communicate(), WITHIN_S)
        text = out.decode()
        assert shell.returncode == 0, (block, text)
        self.pids += [int(pid) for pid in re.findall(r"pid:(\d+)", text)]
        # What changes the shell itself is done again in front of the next block; what makes files is not.
        kept = [line for line in block.splitlines() if line.startswith(("umask", "export"))]
        moved = [line.replace("mkdir comity-gr && ", "") for line in block.splitlines() if " && cd " in line]
        self.script += "\n".join([*moved, *kept]) + "\n"
        return text


def heard(registry: Path) -> dict[str, str]:
    """What is read to the newcomer by telephone: another member's first root, and what the registry was shown."""
    root = (registry / "directory" / "metadata" / "1.root.json").read_bytes()
    words = {"FINGERPRINT": sha256(root).hexdigest()}
    file = registry / "nation-gr.json"
    return words | ({"DIGEST": review(CeremonyFile.from_bytes(file.read_bytes())).digest()} if file.exists() else {})


def registry_signs(made: World, *roles: str) -> None:
    """What the root holders and the registry do with keys that only they have."""
    ceremony: Ceremony = made.federation.ceremony
    for role in roles:
        for holder in made.federation.holders if role == TARGETS else ():
            ceremony.sign(role, holder)
    ceremony.stage_release(datetime.now(UTC))
    for signer in made.federation.registry:
        ceremony.sign(SNAPSHOT, signer)
        ceremony.sign(TIMESTAMP, signer)
    ceremony.publish(datetime.now(UTC))


async def test_a_newcomer_joins_by_the_guide_and_is_reached(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        mine = Laptop(tmp_path, {"8443": free_port(), "9443": free_port()})
        theirs = Laptop(tmp_path, {})
        folder = tmp_path / "comity-gr"
        try:
            for who, block in blocks():
                if who == NEWCOMER:
                    if "contact-test results" in block:
                        await reply_to_test(made)
                    await mine.run(block, heard(tmp_path))
                else:
                    before, publish, after = block.partition("comity-node federation publish")
                    await theirs.run(before)
                    if publish:
                        registry_signs(made, *([TARGETS] if "targets.json" in before else []))
                        await theirs.run(after.partition("\n")[2])
                post(tmp_path, folder)
            async with desk(made, "jp") as jp:
                draft = {**request_draft(), "to": ["24-7@gr"]}
                while "gr" not in (await jp.refresh_directory()).nodes():
                    await sync(made, jp, wait=1)  # its node looks for news every few seconds
                sent = await jp.messages.send(draft)
                while True:
                    await sync(made, jp)
                    if "ContentHandover" in {row.event for row in await jp.messages.receipts(sent.id) if row.verified}:
                        break
                    await mine.run("comity inbox --wait 2")
            listed = await mine.run("comity inbox")
            tested = await mine.run("comity contact-test results 24-7@jp --json")
        finally:
            for pid in mine.pids:
                os.kill(pid, 15)

    assert "24-7@jp" in listed
    (result,) = json.loads(tested.partition("pid:")[0])["contact_points"]
    assert result["standing"] == "replies"
    assert result["latest"]["reply_s"] >= result["latest"]["handover_s"] >= 0


async def reply_to_test(made: World) -> None:
    """The officer at the partner's desk."""
    async with desk(made, "jp") as jp:
        while not (tests := await jp.cases.unanswered_contact_tests()):
            await sync(made, jp, wait=1)
        await jp.replies.answer_contact_test(tests[0].id)


def post(registry: Path, folder: Path) -> None:
    """The mail between the two: whatever is newer on one side goes to the other."""
    for source, target in (
        (folder / "justice.json", registry / "justice.json"),
        (folder / "interior.json", registry / "interior.json"),
        (folder / "node" / "card.json", registry / "card.json"),
        (folder / "desk" / "enrolment.json", registry / "enrolment.json"),
        (registry / "bootstrap.json", folder / "bootstrap.json"),
    ):
        if source.exists():
            shutil.copy(source, target)
    here, there = registry / "nation-gr.json", folder / "nation-gr.json"
    if here.exists() and (not there.exists() or here.stat().st_mtime_ns > there.stat().st_mtime_ns):
        shutil.copy2(here, there)
    elif there.exists():
        shutil.copy2(there, here)
