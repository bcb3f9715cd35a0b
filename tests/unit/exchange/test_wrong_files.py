"""Whoever gives a command the wrong file learns what it is, which one was wanted, and what to do."""

from __future__ import annotations

import io
import json
import typing
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import exchange.cli._commands
import exchange.cli.main
import node.cli._commands
import node.cli.main
from exchange.cli._acting import GivenLogin, give_login
from exchange.settings import Home
from keys.commands import functions
from keys.directory.cards import card_to_bytes
from keys.local.given_files import _OF_MESSAGES, _TEXTS, FileKind, read_given, reading_as, recognised, take
from keys.local.passphrase import read_passphrase_file
from keys.secrets.keystore import FAST, Keystore
from protocol.errors import MalformedError, TooLargeError, UsageError, WrongFileError
from protocol.messages.registry import MESSAGE_TYPES
from protocol.misbehaviour.proof import encode_proof
from tests.unit.protocol.test_misbehaviour import LIES
from tests.worlds.desks import JP, PASSPHRASE, World

K = FileKind
ROOT = Path(__file__).resolve().parents[3]

# Every option and argument that names a file to read, with what it wants, and how the command is called with it.
# FILE is that file; HOME, NODE are homes, KEYS a keystore, NEW a path that is not there, FOLDER an empty folder.
_READS = """
comity init|bootstrap|BOOTSTRAP|24-7@ki --bootstrap FILE --office o --agency a --home NEW
comity new|case|FIELDS|preservation.request --from FILE --out NEW
comity correct|file|FIELDS|ffff FILE --reason x --home HOME
comity send|file|DRAFT|FILE --check
comity draft save|file|FIELDS|FILE --home HOME
comity answer|file|ANSWER|7f3a FILE --home HOME
comity case say|file|DRAFT|7f3a FILE --all --home HOME
comity offer|file|DRAFT|FILE --home HOME
comity compare|file|DRAFT|FILE --home HOME
comity verify|what|EVIDENCE|FILE --offline --home HOME
comity verify|disclosure|DISCLOSURE|BAG --disclosure FILE --offline --home HOME
comity verify|tsa_roots|CERTIFICATES|BAG --tsa-roots FILE --offline --home HOME
comity report|sign_with|IDENTITY|--out NEW.pdf --sign-with FILE --home HOME
comity records verify|seen|CHECKPOINT|FOLDER 24-7@jp --seen FILE --home HOME
comity epoc prepare|file|DRAFT|FILE --home HOME
comity epoc import|file|FIELDS|FILE
comity targets import|draft|DRAFT|FILE TABLE
comity targets import|file|TARGETS|DRAFT FILE
comity targets export|draft|DRAFT|FILE NEW
comity template import|file|TEMPLATE|FILE --home HOME
comity bundle import|file|TRANSFER|FILE --home HOME
comity evidence bag|tsa_roots|CERTIFICATES|7f3a --out NEW --tsa https://127.0.0.1:1/ --tsa-roots FILE --home HOME
comity evidence stamp|file|EVIDENCE|FILE --tsa https://127.0.0.1:1/ --tsa-roots PEM
comity evidence stamp|tsa_roots|CERTIFICATES|BAG --tsa https://127.0.0.1:1/ --tsa-roots FILE
comity evidence verify|file|EVIDENCE|FILE --root-sha256 00
comity evidence verify|disclosure|DISCLOSURE|BAG --disclosure FILE --root-sha256 00
comity evidence verify|tsa_roots|CERTIFICATES|BAG --tsa-roots FILE --root-sha256 00
comity audit verify|envelopes|TRANSFER|jp --envelopes FILE --home HOME
comity audit report|sign_with|IDENTITY|jp --out NEW.pdf --sign-with FILE --home HOME
comity audit prove|checkpoint|CHECKPOINT|jp --offline --checkpoint FILE --home HOME
comity audit prove|evidence|EVIDENCE|jp --offline --evidence FILE --home HOME
comity audit proof|file|PROOF|FILE --card CARD
comity audit proof|card|NODE_CARD|PROOF --card FILE
comity-node init|token_file|TOKEN|NEW --node jp --name x --federation N --url https://127.0.0.1:1 --token-file FILE
comity-node join|bootstrap|BOOTSTRAP|FOLDER FILE
comity-node restore|checkpoint|CHECKPOINT|FOLDER --into NEW --checkpoint FILE
comity-node keys create|token_file|TOKEN|NEW --holder JP --token-file FILE
comity-node keys public|keystore|KEYSTORE|FILE
comity-node keys public|token_file|TOKEN|KEYS --token-file FILE
comity-node federation create|keys|KEYSTORE|FOLDER --name N --holder a --threshold 1 --registry b --keys FILE
comity-node federation create|holder|DIRECTORY_KEY|FOLDER --name N --holder FILE --threshold 1 --registry FILE
comity-node federation sign|keys|KEYSTORE|FOLDER root --key JP --keys FILE
comity-node federation publish|keys|KEYSTORE|FOLDER --registry r --keys FILE
comity-node federation import|file|CEREMONY|FOLDER FILE
comity-node federation rotate-root|keys|KEYSTORE|FOLDER --holder JP --threshold 1 --keys FILE
comity-node federation witnesses|rule|POLICY|FOLDER --rule FILE
comity-node nation admit|keys|KEYSTORE|FOLDER jp --key j --threshold 1 --holder JP --keys FILE
comity-node nation rotate-keys|keys|KEYSTORE|FOLDER jp --key j --threshold 1 --keys FILE
comity-node cards publish|file|NODE_CARD|FOLDER FILE --key j --registry r
comity-node cards publish|keys|KEYSTORE|FOLDER CARD --key j --registry r --keys FILE
comity-node cards revoke-key|keys|KEYSTORE|FOLDER jp 00 --key j --registry r --keys FILE
comity-node cards set-status|keys|KEYSTORE|FOLDER jp active --key j --registry r --keys FILE
comity-node cards auditors|keys|KEYSTORE|FOLDER jp audit@fr --reads all --key j --registry r --keys FILE
comity-node cards files|keys|KEYSTORE|FOLDER jp --none --key j --registry r --keys FILE
comity-node ceremony show|file|CEREMONY|FILE --state FOLDER
comity-node ceremony sign|file|CEREMONY|FILE --key JP --keys KEYS
comity-node ceremony sign|keys|KEYSTORE|SAMPLE --key JP --keys FILE
comity-node bundle import|file|TRANSFER|NODE FILE
"""
READS: dict[tuple[str, str], tuple[FileKind, list[str]]] = {
    (command, parameter): (K[wanted], arguments.split())
    for command, parameter, wanted, arguments in (row.split("|") for row in _READS.strip().splitlines())
}
# Those that name what is written, or a folder; or a keystore of which only the name is used.
OTHERS = {
    *(("comity demo", "keep"), ("comity new", "out"), ("comity report", "out"), ("comity print", "out")),
    ("comity desk api", "out"),
    *(("comity draft export", "out"), ("comity epoc prepare", "out"), ("comity epoc import", "out")),
    *(("comity records export", "folder"), ("comity records verify", "folder"), ("comity targets export", "out")),
    *(("comity template export", "out"), ("comity bundle export", "file"), ("comity evidence bag", "out")),
    *(("comity evidence stamp", "out"), ("comity evidence disclose", "out"), ("comity audit mirror", "into")),
    *(("comity audit trace", "proofs"), ("comity audit reconcile", "proofs"), ("comity audit report", "out")),
    *(("comity audit policy", "out"), ("comity audit prove", "mirror"), ("comity-node init", "directory_folder")),
    *(("comity-node bootstrap", "out"), ("comity-node backup", "folder"), ("comity-node restore", "folder")),
    ("comity-node backup-check", "folder"),
    *(("comity-node restore", "into"), ("comity-node keys create", "keystore"), ("comity-node bundle export", "file")),
    *(("comity-node bundle export", "files_folder"), ("comity-node bundle import", "files_folder")),
    *(("comity bundle export", "files_folder"), ("comity bundle import", "files_folder")),
    *(("comity-node federation bootstrap", "out"), ("comity-node federation export", "out")),
    *(("comity-node cards new-profile", "out"), ("comity-node ceremony show", "keys")),
    *(("comity-node log import-entries", "mirror"), ("comity-node log export-tiles", "folder")),
    *(("comity-node log verify-tiles", "folder"), ("comity-node monitor proof", "out")),
    ("comity-node monitor evidence", "out"),
    # Any file goes with a message, whatever is in it.
    *(
        (f"comity {words}", "attach")
        for words in ("new", "send", "answer", "offer", "draft save", "case say", "files supplement")
    ),
    *(("comity files get", "to"), ("comity files get", "target")),
    *(("comity desk run", "run_folder"), ("comity desk unit", "credential")),
    # Files of others, which are never read as anything.
    *(("comity files export", "out"), ("comity files scan", "file"), ("comity verify", "files")),
    ("comity evidence verify", "files"),
}
NOT_PATHS = {("comity verify", "what"), ("comity-node federation create", "holder")}


APPS = {"comity": exchange.cli.main.app, "comity-node": node.cli.main.app}
ROWS = {"comity": exchange.cli._commands.ROWS, "comity-node": node.cli._commands.ROWS}
COMMANDS = {f"{name} {words}": function for name, rows in ROWS.items() for words, function in functions(rows)}
ENDING_PASSPHRASE = "passphrase_file"


def test_every_option_that_names_a_file_is_listed_here() -> None:
    named = {
        (command, parameter)
        for command, callback in COMMANDS.items()
        for parameter, hint in typing.get_type_hints(callback, include_extras=True).items()
        if "Path" in str(hint)
        and parameter not in ("home", "state")
        and not parameter.endswith(ENDING_PASSPHRASE)
        and not (parameter == "folder" and "published into" in str(_helps(hint)))
    }
    assert named == {*READS, *OTHERS} - NOT_PATHS


def _helps(hint: Any) -> list[str]:
    return [getattr(one, "help", "") or "" for one in getattr(hint, "__metadata__", ())]


def zipped(*names: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return written.getvalue()


ENCODED = json.dumps
NOTE = b"test/jp\n7\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 test/jp " + b"A" * 60 + b"\n"
SAMPLES: dict[FileKind, bytes] = {
    K.DRAFT: b'{"type": "preservation.request", "to": ["24-7@fr"]}',
    K.TEMPLATE: (ROOT / "exchange/messaging/drafting/shipped_templates/preservation-ip.json").read_bytes(),
    K.BOOTSTRAP: b'{"schema": "comity/bootstrap/1", "federation": "x"}',
    K.TRANSFER: b"comity-bundle/1\n" + bytes(7) + b"\x10" + b"\xd2\x84" + bytes(14),
    K.EVIDENCE: zipped("case/bagit.txt", "case/data/envelope.cose"),
    K.FORMER_EXPORT: b"\xa5\x01\x71comity/evidence/1\x02\x41x",
    K.DISCLOSURE: b'{"schema": "comity/disclosure/1", "message": "x"}',
    K.PROOF: b"\xa4\x01\x75comity/misbehaviour/1\x02\x64fork",
    K.ENTRY_PROOF: b"c2sp.org/tlog-proof@v1\nindex 3\n",
    K.CHECKPOINT: NOTE,
    K.POLICY: b"# who counts\nwitness jp x+00+AA\ngroup all 1 jp\nquorum all\n",
    K.CEREMONY: b'{\n "schema": "comity/ceremony/2",\n "federation": "x"}',
    K.DIRECTORY_KEY: b'{"schema": "comity/directory-key/1", "holder": "JP"}',
    K.DIRECTORY_FILE: b'{"signatures": [], "signed": {"_type": "root"}}',
    K.NODE_CARD: b'{"schema": "comity/node-card/1", "node": "jp"}',
    K.CONTACT_POINT_CARD: b'{"schema": "comity/contact-point-card/1", "address": "24-7@jp"}',
    K.LEGAL_PROFILE: b'{"schema": "comity/legal-profile/1", "country": "JP"}',
    K.MANIFEST: b'{\n "format": "comity/node-backup/1"}',
    K.ENVELOPE: b"\xd2\x84\x43\xa1\x01\x32",
    K.DATABASE: b"SQLite format 3\0" + bytes(84),
    K.CERTIFICATES: b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    K.PRIVATE_KEY: b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
    K.DER: b"\x30\x82\x01\x0a\x02\x01\x03",
    K.EMPTY: b"",
    K.ZEROS: bytes(512),
    K.PDF: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    K.PICTURE: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    K.FILM: b"\0\0\0\x18ftypmp42",
    K.ARCHIVE: zipped("a.txt"),
    K.OFFICE: zipped("[Content_Types].xml", "xl/workbook.xml"),
    K.MAIL: b"Return-Path: <a@b.example>\r\nReceived: from x\r\nSubject: y\r\n\r\nhello\r\n",
    K.PAGE: b"<!DOCTYPE html><html><body>404</body></html>",
    K.UTF_16: '\ufeff{"type": "preservation.request"}'.encode("utf-16-le"),
    K.JSON: b'{"name": "left-pad", "version": "1.0.0"}',
    K.TEXT: b"Dear colleague,\nplease find the draft attached.\n",
    K.OTHER: bytes(range(1, 256)) * 4,
}
# What may begin as the wanted thing does: it is for the reader to say what it lacks.
NEAR = {
    K.DRAFT: {K.JSON, K.TEXT},
    K.FIELDS: {K.JSON, K.TEXT, K.DRAFT},
    K.ANSWER: {K.JSON, K.TEXT},
    K.TARGETS: {K.JSON, K.TEXT, K.MAIL},
    K.IDENTITY: {K.PRIVATE_KEY, K.CERTIFICATES, K.DER, K.JSON, K.TEXT, K.OTHER},
    K.TOKEN: {K.JSON, K.TEXT, K.OTHER},
    K.POLICY: {K.JSON, K.TEXT, K.OTHER},
    K.NODE_CARD: {K.CONTACT_POINT_CARD, K.LEGAL_PROFILE},
}
FEW = (K.PDF, K.CEREMONY, K.EVIDENCE, K.FORMER_EXPORT, K.DISCLOSURE, K.EMPTY)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        world = World(folder / "world", patch)
        secret = folder / "passphrase"
        secret.touch(mode=0o600)
        secret.write_bytes(PASSPHRASE + b"\n")
        (folder / "empty").mkdir()
        node_home = folder / "node"
        node_home.mkdir(mode=0o700)
        (node_home / "node.toml").write_text('node = "jp"\n')
        keys = folder / "keys.cbor"
        Keystore.create(keys, PASSPHRASE, FAST).save()
        given = {
            "DRAFT": SAMPLES[K.DRAFT],
            "SAMPLE": SAMPLES[K.CEREMONY],
            "TABLE": b"kind,value\nurl,https://a.example/\n",
            "PEM": SAMPLES[K.CERTIFICATES],
            "BAG": SAMPLES[K.EVIDENCE],
            "CARD": card_to_bytes(next(iter(world.ceremony.repository.cards("jp")))),
            "PROOF": encode_proof(next(iter(LIES.values()))),
        }
        for name, content in given.items():
            (folder / name).write_bytes(content)
        yield {
            **{name: str(folder / name) for name in given},
            **{"HOME": str(Home(world.home(JP)).path), "MAIN": str(secret), "NEW": str(folder / "new")},
            **{"FOLDER": str(folder / "empty"), "KEYS": str(keys), "NODE": str(node_home)},
            "NEW.pdf": str(folder / "new.pdf"),
        }


def run(command: str, arguments: list[str], places: dict[str, str], file: Path) -> tuple[int, dict[str, Any]]:
    app = typer.Typer()
    app.command()(COMMANDS[command])
    give_login(GivenLogin())  # nobody acts, whoever did in a test before
    argv = [str(file) if word == "FILE" else places.get(word, word) for word in arguments]
    env = {
        "COMITY_PASSPHRASE_FILE": places["MAIN"],
        "COMITY_NODE_PASSPHRASE_FILE": places["MAIN"],
        "COMITY_HOME": places["HOME"],
        "LANGUAGE": "en",
    }
    done = CliRunner().invoke(app, [*argv, "--json"], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), (command, argv, done.exception)
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return done.exit_code, said.get("error", {"output": done.output})


@pytest.mark.parametrize(("command", "parameter"), sorted(READS))
def test_a_wrong_file_is_named_with_what_was_wanted_and_nothing_is_written(
    command: str, parameter: str, places: dict[str, str], tmp_path: Path
) -> None:
    wanted, arguments = READS[command, parameter]
    for kind in FEW:
        if kind is wanted or kind in NEAR.get(wanted, ()):
            continue
        file = tmp_path / f"given-{kind}"
        file.write_bytes(SAMPLES[kind])
        code, error = run(command, arguments, places, file)
        assert (code, error.get("code")) == (1, "wrong-file"), (kind, error)
        assert str(file) in error["detail"]
        assert _TEXTS[wanted] in error["detail"], (kind, error)
        found = _TEXTS[kind]
        assert found in error["detail"] or kind in (K.TEXT, K.OTHER), (kind, error)
        assert file.read_bytes() == SAMPLES[kind]
    code, error = run(command, arguments, places, tmp_path)
    if parameter != "what":
        assert (code, error.get("code")) == (1, "wrong-file"), error
        assert "is a folder" in error["detail"]
    assert not Path(places["NEW"]).exists()
    assert [one.name for one in Path(places["FOLDER"]).iterdir() if one.name != ".lock"] == []


FOLDERS = """
comity records verify|RECORDS|FILE 24-7@jp --home HOME
comity audit mirror|MIRROR|jp --into FILE --home HOME
comity audit verify|MIRROR|jp=FILE --home HOME
comity audit prove|MIRROR|jp --offline --mirror FILE --home HOME
comity-node restore|BACKUP|FILE --into NEW
comity-node backup-check|BACKUP|NODE FILE
comity-node log verify-tiles|MIRROR|NODE FILE
comity-node log import-entries|MIRROR|NODE FILE
comity-node federation status|DIRECTORY|FILE
comity-node federation create|DIRECTORY|FILE --name N --holder a --threshold 1 --registry b
"""


@pytest.mark.parametrize("row", FOLDERS.strip().splitlines())
def test_a_file_in_place_of_a_folder_is_named_and_nothing_is_read_from_it(
    row: str, places: dict[str, str], tmp_path: Path
) -> None:
    command, wanted, arguments = row.split("|")
    file = tmp_path / "a.pdf"
    file.write_bytes(SAMPLES[K.PDF])
    words = [word.replace("FILE", str(file)) for word in arguments.split()]
    code, error = run(command, words, places, file)
    assert (code, error.get("code")) == (1, "wrong-file"), error
    assert f"{file} is {_TEXTS[K.PDF]}. Wanted is {_TEXTS[K[wanted]]}." == error["detail"]


@pytest.mark.parametrize("wanted", sorted({wanted for wanted, _ in READS.values()}))
def test_no_other_kind_of_file_passes_for_the_wanted_one(wanted: FileKind, tmp_path: Path) -> None:
    file = tmp_path / "given"
    for kind, content in SAMPLES.items():
        file.write_bytes(content)
        if kind is wanted or kind in NEAR.get(wanted, ()):
            continue

        def nothing_of_it(_: bytes) -> None:
            raise MalformedError("it does not read")

        with pytest.raises(WrongFileError) as refused:
            take(file, wanted, nothing_of_it, also=frozenset(NEAR.get(wanted, ())))
        assert _TEXTS[wanted] in refused.value.detail
        assert _TEXTS[kind] in refused.value.detail or kind in (K.TEXT, K.OTHER)


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_file_is_known_by_how_it_begins_however_much_of_it_was_lost(kind: FileKind) -> None:
    assert recognised(SAMPLES[kind]) is kind
    if kind in (K.EMPTY, K.ZEROS, K.OTHER, K.TEXT, K.JSON):
        return
    # What the wanted file begins with is enough: the rest may have been cut off.
    for lost in (1, 2, 3):
        shorter = SAMPLES[kind][:-lost]
        assert recognised(shorter) is kind or kind in (K.CHECKPOINT, K.DIRECTORY_FILE, K.DER, K.DIRECTORY_KEY, K.UTF_16)


def test_what_begins_as_the_wanted_file_and_does_not_read_is_told_as_that(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.json"
    file.write_bytes(SAMPLES[K.BOOTSTRAP][:-9])

    def broken(content: bytes) -> None:
        raise MalformedError("it ends in the middle")

    with pytest.raises(WrongFileError, match=r"begins as a federation's bootstrap file.*it ends in the middle"):
        take(file, K.BOOTSTRAP, broken)
    file.write_bytes(SAMPLES[K.OTHER])
    with pytest.raises(WrongFileError, match=r"cannot be read as what is wanted here.*it ends in the middle"):
        take(file, K.BOOTSTRAP, broken)
    with pytest.raises(WrongFileError, match="seems to be a JSON text"), reading_as(file, b'{"a": 1}', K.BOOTSTRAP):
        raise MalformedError("x")
    assert WrongFileError.code == "wrong-file"
    assert "wanted" in WrongFileError.advice


def test_a_missing_file_is_a_wrong_command_and_a_long_one_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_given(tmp_path / "none", K.DRAFT, max_bytes=10)
    long = tmp_path / "long"
    long.write_bytes(SAMPLES[K.DRAFT] * 3)
    with pytest.raises(TooLargeError, match="a draft of a message"):
        read_given(long, K.DRAFT, max_bytes=60)
    long.write_bytes(SAMPLES[K.FILM] * 9)
    with pytest.raises(WrongFileError, match="a film"):
        read_given(long, K.DRAFT, max_bytes=60)


@pytest.mark.parametrize("kind", [K.DRAFT, K.CEREMONY, K.EVIDENCE, K.PRIVATE_KEY, K.CHECKPOINT, K.DATABASE])
def test_no_first_line_of_another_file_becomes_a_passphrase(kind: FileKind, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(SAMPLES[kind])
    with pytest.raises(WrongFileError, match="a file whose first line is a passphrase"):
        read_passphrase_file(file)
    file.write_bytes(b'{\n  "type": 1}')
    with pytest.raises(WrongFileError):
        read_passphrase_file(file)


def test_an_exported_message_of_the_former_form_is_refused_with_what_to_ask_for(tmp_path: Path) -> None:
    file = tmp_path / "evidence.cbor"
    file.write_bytes(SAMPLES[K.FORMER_EXPORT])
    with pytest.raises(WrongFileError, match=r"no longer read: ask for it by comity evidence bag\. Wanted is an evid"):
        read_given(file, K.EVIDENCE, max_bytes=10_000)


@pytest.mark.parametrize(
    "secret", [b"correct horse", b"[Tr0ub4dor}", b"{x", b"\x30\x82\xff", b"GIF8", b"BZh", b"jp: 1"]
)
def test_whatever_can_be_a_passphrase_is_one(secret: bytes, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(secret + b"\n")
    assert read_passphrase_file(file) == secret


def test_every_type_of_message_is_known_as_a_draft() -> None:
    assert {kind.partition(".")[0].encode() for kind in MESSAGE_TYPES} == _OF_MESSAGES
    assert set(_TEXTS) == set(FileKind)
