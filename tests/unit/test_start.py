"""What a command imports before it does anything: the modules are counted, never the time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from exchange.cli._commands import ROWS as COMITY
from node.cli._commands import ROWS as NODE
from tests.worlds.desks import JP, PASSPHRASE, World

ROOT = Path(__file__).resolve().parents[2]
_IMPORTED = """
import json, sys
from {module} import main
{before}
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
"""
# Libraries that take long to load. Typer reads a plain value without Pydantic only because keys.commands has it so.
SLOW = frozenset(
    [
        "aiohttp",
        "aiosqlite",
        "asn1crypto",
        "asyncio",
        "babel",
        "cbor2",
        "cryptography",
        "jinja2",
        "langcodes",
        "nacl",
        "phonenumbers",
        "pkcs11",
        "prometheus_client",
        "pydantic",
        "pyhanko",
        "rich",
        "securesystemslib",
        "sqlite3",
        "stdnum",
        "structlog",
        "tuf",
        "typst",
        "urllib3",
        "yaml",
        "yarl",
    ]
)
# A desk that opens reads keys, database, settings and directory; it does not draw, report, audit or write messages.
NOT_FOR_A_DESK = frozenset(
    [
        "aiohttp",
        "babel",
        "jinja2",
        "langcodes",
        "phonenumbers",
        "pkcs11",
        "prometheus_client",
        "pyhanko",
        "rich",
        "stdnum",
        "structlog",
        "typst",
        "urllib3",
        "yaml",
        "exchange.audit.verify",
        "exchange.evidence.checks",
        "exchange.report.office_figures",
        "protocol.bundle",
        "protocol.lifecycle.facts",
        "protocol.messages.parse",
        "protocol.messages.schema.base",
    ]
)
HELPS = {
    "comity": ("exchange.cli.main", [[], *([row.name] for row in COMITY), ["officer", "add"], ["evidence", "bag"]]),
    "comity-node": ("node.cli.main", [[], *([row.name] for row in NODE), ["cards", "publish"], ["log", "erase"]]),
}
FEW = {0: 201, 1: 237, 2: 237}  # modules, by how many words the command has


def imported(module: str, words: Iterable[str], *, before: str = "") -> tuple[int, frozenset[str]]:
    """The exit code, and every module that was imported when the command ended; ``before`` runs before it."""
    ran = subprocess.run(
        [sys.executable, "-c", _IMPORTED.format(module=module, before=before), *words],
        cwd=ROOT,
        env={**os.environ, "LANGUAGE": "en"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, names = json.loads(ran.stderr.splitlines()[-1])
    return code, frozenset(names)


@pytest.mark.outside
@pytest.mark.parametrize(("program", "words"), [(name, words) for name, (_, many) in HELPS.items() for words in many])
def test_a_help_imports_no_slow_library_and_few_modules(program: str, words: list[str]) -> None:
    code, names = imported(HELPS[program][0], [*words, "--help"])
    assert code == 0
    assert names & SLOW == frozenset()
    assert len(names) <= FEW[len(words)]


@pytest.mark.outside
def test_a_help_of_the_program_imports_none_of_its_commands() -> None:
    for module, rows in (("exchange.cli.main", COMITY), ("node.cli.main", NODE)):
        _code, names = imported(module, ["--help"])
        assert names & {row.place.partition(":")[0] for row in rows} == frozenset()


# The modules that each may load. The last two ask their node, which nobody plays here.
FEW_OF_A_DESK = {
    "duty show": 630,
    "officer list": 640,
    "inbox --no-sync": 680,
    "agenda --no-sync": 680,
    "inbox": 710,
    "agenda": 710,
}


@pytest.mark.outside
@pytest.mark.parametrize("command", FEW_OF_A_DESK)
def test_a_desk_that_opens_imports_what_it_needs_for_that(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, secret = World(tmp_path, monkeypatch).home(JP), tmp_path / "secret"
    secret.write_bytes(PASSPHRASE + b"\n")
    secret.chmod(0o600)
    words = [*command.split(), "--home", str(home), "--passphrase-file", str(secret), "--json"]
    # Without this a slow derivation would let it load more meanwhile.
    only_this = "import exchange.cli._options as options; options._MEANWHILE = ()"
    code, names = imported("exchange.cli.main", words, before=only_this)
    assert code == 0
    assert names & NOT_FOR_A_DESK == frozenset()
    assert len(names) <= FEW_OF_A_DESK[command]


_REHEARSED = """
import sys
from pathlib import Path
from exchange.service.service import _rehearse
from exchange.settings import DeskSettings, Home
from keys.directory.cards import ContactPointCard, NodeCard
from keys.secrets.keystore import Keystore
from protocol.messages.registry import MESSAGE_TYPES
home = Home(Path(sys.argv[1]))
_rehearse(home, DeskSettings.load(home.settings), Keystore.open(home.keystore, sys.argv[2].encode()))
models = [NodeCard, ContactPointCard, *MESSAGE_TYPES.values()]
print(len(models), [model.__name__ for model in models if not model.__pydantic_complete__])
"""


@pytest.mark.outside
def test_what_reads_cards_and_messages_is_built_before_the_commands_of_a_running_desk_are_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = World(tmp_path, monkeypatch).home(JP)
    words = [sys.executable, "-c", _REHEARSED, str(home), PASSPHRASE.decode()]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    count, _space, left = ran.stdout.strip().partition(" ")
    assert int(count) > 40
    assert left == "[]"


@pytest.mark.outside
def test_who_sends_a_draft_in_json_imports_no_questions_no_readers_of_exports_and_no_yaml() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import json, sys, exchange.acts.sending, exchange.cli.messages.files;"
            "from exchange.text.documents import read_object;"
            "read_object(b'{}', 'draft.json'); print(json.dumps(sorted(sys.modules)))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = frozenset(json.loads(ran.stdout))
    assert "exchange.acts.sending" in names
    unwanted = ("yaml", "exchange.wizard.flow", "exchange.messaging.drafting.imports", "exchange.text._yaml")
    assert [name for name in unwanted if name in names] == []


_SENT = """
import json, sys
import exchange.acts.sending, exchange.desk.cases, exchange.desk.messages, exchange.messaging.checks
from exchange.cases.duplicates import subjects_of
from exchange.text.draft_codes import with_codes
from protocol.messages.attached import file_list_of
from protocol.messages.handling_rules import items_of
from protocol.messages.law.grounds import wrong_grounds
from protocol.messages.parse import check_outgoing, complete_message, parse_message, message_to_bytes
from protocol.messages.plausibility import held_back
from protocol.messages.types.consent import check_given
draft = with_codes(json.load(open(sys.argv[1], encoding="utf-8")))
message = complete_message(draft)
parse_message(message_to_bytes(message))
print(check_outgoing(draft), list(subjects_of(message)) == [], file_list_of(message), items_of(message))
print(held_back(message, ()), wrong_grounds(message, (), None), check_given(message, b"", ()))
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.outside
def test_who_sends_a_request_loads_its_own_type_and_no_other_one_and_no_rules_of_cases() -> None:
    example = str(ROOT / "examples" / "preservation-request.json")
    ran = subprocess.run([sys.executable, "-c", _SENT, example], cwd=ROOT, capture_output=True, text=True, check=True)
    names = json.loads(ran.stdout.splitlines()[-1])
    rooms = ("protocol.messages.types.", "protocol.lifecycle.")
    assert [name for name in names if name.startswith(rooms)] == [
        "protocol.lifecycle.profiles",
        "protocol.messages.types.consent",
        "protocol.messages.types.preservation",
    ]
    assert not {"protocol.messages.schema.use", "protocol.messages.schema.conditions"} & set(names)
    assert "exchange.files.sealing" not in names
