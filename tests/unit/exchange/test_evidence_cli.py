"""``comity evidence``: what an officer and an auditor do with it, and what is recorded of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.office.officers import Login
from keys.members.identity import generate_node_keys
from protocol.errors import ErasedError, HandlingError
from protocol.messages.handling_rules import Action
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request
from tests.worlds.evidence import Made, bag_of, exchanged


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with exchanged(tmp_path / "world") as found:
        yield found


def invoke(made: Made, *args: str) -> tuple[int, Any]:
    secret = made.world.path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    secret.chmod(0o600)
    env = {"COMITY_HOME": str(made.world.home(JP)), "COMITY_PASSPHRASE_FILE": str(secret), "LANGUAGE": "en"}
    given = ("--to", "The court", "--purpose", "proceedings") if args[0] in {"bag", "disclose"} else ()
    done = CliRunner().invoke(app, ["evidence", *args, *given, "--json"], env=env, catch_exceptions=False)
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.long
def test_an_officer_makes_a_bag_and_an_auditor_verifies_it_without_a_passphrase(made: Made, tmp_path: Path) -> None:
    message, out, opened = str(made.closed.message_id), tmp_path / "evidence.zip", tmp_path / "disclosure.json"

    code, written = invoke(made, "bag", message, "--out", str(out))
    assert (code, written["receipts"], written["left_out"], written["disclosed"]) == (0, 6, 0, False)
    assert out.read_bytes() == bag_of(made.closed)
    assert out.stat().st_mode & 0o777 == 0o600
    assert invoke(made, "disclose", message, "--out", str(opened))[0] == 0

    for trust in ([], ["--root-sha256", made.fingerprint]):
        code, report = invoke(made, "verify", str(out), "--disclosure", str(opened), *trust)
        assert (code, report["ok"]) == (0, True)
    code, report = invoke(made, "verify", str(out), "--root-sha256", sha256(b"other").hexdigest())
    assert (code, report["error"]["type"]) == (3, "urn:comity:error:directory-untrusted")


def test_the_fingerprint_that_a_desk_shows_is_the_one_by_which_bags_are_verified(made: Made) -> None:
    code, shown = invoke(made, "root")
    assert (code, shown["root_sha256"]) == (0, made.fingerprint)


def test_a_bag_that_fails_and_one_that_is_none_are_told_apart_by_exit_code(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "evidence.zip"
    bag = bag_of(made.disclosed)
    opened = made.disclosed.disclosure
    assert opened is not None
    # The content is stored as it is, so it can be found; the ZIP's own checksum notices the change.
    file.write_bytes(bag.replace(opened.content[:40], opened.content[:39] + b"?", 1))
    assert invoke(made, "verify", str(file))[1]["error"]["type"] == "urn:comity:error:evidence-unusable"

    strange = replace(made.disclosed, disclosure=replace(opened, content=opened.content + b" "))
    file.write_bytes(bag_of(strange))
    code, report = invoke(made, "verify", str(file))
    assert (code, report["ok"]) == (3, False)
    assert {check["name"] for check in report["checks"] if check["ok"] is False} == {"commitment", "disclosure"}


@pytest.mark.outside
def test_a_timestamp_is_not_asked_for_without_roots_and_a_silent_authority_leaves_no_file(
    made: Made, tmp_path: Path
) -> None:
    message, out = str(made.closed.message_id), tmp_path / "evidence.zip"
    roots = tmp_path / "roots.pem"
    roots.write_bytes(made.world.certificates[0])

    assert invoke(made, "bag", message, "--out", str(out), "--tsa", "http://127.0.0.1:1/")[0] == 2
    roots.write_bytes(_any_root())
    stamped = ("--tsa", "http://127.0.0.1:1/", "--tsa-roots", str(roots))
    code, refused = invoke(made, "bag", message, "--out", str(out), *stamped)
    assert (code, refused["error"]["type"]) == (4, "urn:comity:error:timestamp-unavailable")
    assert not out.exists()
    assert invoke(made, "bag", message, "--out", str(out))[0] == 0


def test_an_exported_file_is_verified_in_one_sentence_first_and_offline_is_no_success(
    made: Made, tmp_path: Path
) -> None:
    secret, out = made.world.path / "passphrase", tmp_path / "evidence.zip"
    secret.write_bytes(PASSPHRASE + b"\n")
    secret.chmod(0o600)
    env = {"COMITY_HOME": str(made.world.home(JP)), "COMITY_PASSPHRASE_FILE": str(secret), "LANGUAGE": "en"}

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words], env=env, catch_exceptions=False)
        return done.exit_code, done.stdout

    given = ("--disclose", "--to", "the court", "--purpose", "proceedings")
    assert run("evidence", "bag", str(made.closed.message_id), "--out", str(out), *given)[0] == 0
    for words, code in (([], 0), (["--offline"], 6)):
        ended, said = run("verify", str(out), *words)
        first = said.strip().splitlines()[0]
        assert ended == code, said
        assert first.startswith(f"24-7@jp signed message {made.closed.message_id} for 24-7@fr, at 2026-11-23T03:00:00")
        assert "; dated (log of " in first
        assert ("NOT CHECKED, and so no success: consistency" in said) is (code == 6)


def _any_root() -> bytes:
    der = generate_node_keys("xx", ["127.0.0.1"], NOW).tls.certificate
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


async def test_what_is_made_ready_to_be_given_is_recorded_first_and_as_given_when_it_was(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(tmp_path, patch)
        async with world.open(JP) as jp:
            sent = await jp.messages.send(request())
            await jp.evidence.gather(sent.id, disclose=False)
            await jp.evidence.gather(sent.id, disclose=True)
            await jp.evidence.disclose(sent.id)
            await jp.evidence.note_given(sent.id, "disclose", b"the file")
            entries = [record for _, record in await jp.office.records()]

    told = [(record.operation.value, record.act, record.message) for record in entries[1:]]
    assert told == [
        ("consultation", "bag.prepare", sent.id),
        ("consultation", "disclose.prepare", sent.id),
        ("disclosure", "disclose", sent.id),
    ]
    assert entries[-1].file == sha256(b"the file").digest()


async def test_a_label_that_forbids_proceedings_keeps_the_content_out_of_a_bag_for_them(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(tmp_path, patch)
        handling = {"tlp": "AMBER", "codes": ["H1"]}
        async with world.open(JP) as jp:
            sent = await jp.messages.send(request(handling=handling))
        async with world.open(FR, Login(purpose=Action.PROCEEDINGS)) as fr:
            await fr.messages.sync()
            with pytest.raises(HandlingError):
                await fr.evidence.gather(sent.id, disclose=True)
            with pytest.raises(HandlingError):
                await fr.evidence.disclose(sent.id)
            assert (await fr.evidence.gather(sent.id, disclose=False)).disclosure is None


async def test_nothing_is_written_of_a_message_that_was_erased(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(tmp_path, patch)
        async with world.open(JP) as jp:
            sent = await jp.messages.send(request())
            await jp.office.erase_case(sent.thread, "ordered")
            for disclose in (True, False):
                with pytest.raises(ErasedError):
                    await jp.evidence.gather(sent.id, disclose=disclose)
            with pytest.raises(ErasedError):
                await jp.evidence.disclose(sent.id)
