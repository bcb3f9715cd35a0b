"""A desk as a service: an officer sees no difference, whoever is signed in acts, and nobody else does."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from exchange.service import wire
from exchange.service.run_folder import read_note
from tests.worlds.patience import WITHIN_S
from tests.worlds.served import COMITY, ROOT, Ran, ServedDesk, Shell, Terminal, served_world, until

EXAMPLE = str(ROOT / "examples" / "preservation-request.json")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    """One desk for all of these tests; the service runs."""
    with served_world(tmp_path_factory.mktemp("served"), "jp") as made:
        made.add_officers()
        made.start()
        yield made


@pytest.fixture
def running(desk: ServedDesk) -> ServedDesk:
    """The desk, its service started again where a test ended it."""
    if desk.service is None or desk.service.poll() is not None:
        desk.start()
    return desk


def same(ran: Ran) -> tuple[int, str, str]:
    """What does not differ from one run to the next: instants and ids do."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[^\s\"]*|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{8,}", "#", ran.out)
    return ran.code, text, re.sub(r"\d+", "#", ran.err)  # beside it stands how long ago the node was asked


COMMANDS: list[tuple[list[str], dict[str, str]]] = [
    (["inbox", "--sent"], {"COLUMNS": "60", "LANG": "fr_FR.UTF-8"}),
    (["agenda", "--no-sync"], {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "LANGUAGE": "ar"}),
    (["search", "nothing-has-this", "--json"], {}),
    (["show", "ffffffff"], {"LANGUAGE": "ko"}),
    (["send", "no-such-file.json", "--json"], {}),
    (["send", "--no-such-option"], {}),
]


def test_a_command_says_and_ends_as_it_does_without_the_service(running: ServedDesk) -> None:
    assert running.run("send", EXAMPLE, "--json", *running.by("kim")).code == 0
    served = [same(running.run(*words, *running.by("kim"), **more)) for words, more in COMMANDS]
    running.stop()
    passphrase = {"COMITY_PASSPHRASE_FILE": str(running.passphrase)}
    alone = [same(running.run(*words, *running.by("kim"), **more, **passphrase)) for words, more in COMMANDS]
    assert served == alone
    assert {code for code, _, _ in served} >= {0, 1, 2}


def test_files_are_read_and_written_where_the_caller_stands_with_the_callers_mask(
    running: ServedDesk, tmp_path: Path
) -> None:
    (tmp_path / "request.json").write_text(Path(EXAMPLE).read_text("utf-8"))
    sent = running.run("send", "request.json", "--json", *running.by("kim"), cwd=tmp_path)
    assert sent.code == 0, sent
    bag = running.run(
        *("evidence", "bag", sent.json["id"], "--out", "bag.zip", "--to", "court", "--purpose", "proceedings"),
        *running.by("kim"),
        cwd=tmp_path,
    )
    assert bag.code == 0, bag
    assert (tmp_path / "bag.zip").stat().st_mode & 0o777 == 0o600
    for mask in (0o077, 0o022):
        before = os.umask(mask)
        try:
            done = running.run("new", "--template", "preservation-ip", "--out", f"{mask}.json", cwd=tmp_path)
        finally:
            os.umask(before)
        assert done.code == 0, done
        assert (tmp_path / f"{mask}.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_second_service_is_refused_by_the_first_ones_number_and_a_dead_ones_socket_is_replaced(
    running: ServedDesk,
) -> None:
    assert running.service is not None
    second = running.run("desk", "run", "--json", COMITY_PASSPHRASE_FILE=str(running.passphrase))
    assert (second.code, second.json["error"]["code"]) == (1, "desk-running")
    assert str(running.service.pid) in second.json["error"]["detail"]
    assert running.run("desk", "status", "--json").json["pid"] == running.service.pid
    running.kill()
    assert (running.home / "run" / "command.sock").exists()
    assert running.run("desk", "status").code == 5
    # What stands there owns nothing: a command opens the home itself.
    alone = running.run("inbox", "--json", *running.by("kim"), COMITY_PASSPHRASE_FILE=str(running.passphrase))
    assert alone.code == 0, alone
    running.start()
    assert running.run("inbox", *running.by("kim")).code == 0


def test_of_two_services_that_start_at_once_one_runs(running: ServedDesk) -> None:
    running.stop()
    both = [running.begin("desk", "run", "--json", COMITY_PASSPHRASE_FILE=str(running.passphrase)) for _ in range(2)]
    said = []
    for one in both:
        assert one.stdout is not None
        said.append(json.loads(one.stdout.readline()))
    assert sorted("error" in each for each in said) == [False, True]
    first = next(one for one, each in zip(both, said, strict=True) if "error" not in each)
    running.service = first
    next(one for one in both if one is not first).communicate(timeout=WITHIN_S)
    assert running.run("inbox", *running.by("kim")).code == 0


# --- Who acts ---------------------------------------------------------------------------------------------------------


def test_a_code_of_the_terminal_signs_its_officer_in_at_the_pages_of_the_running_desk(running: ServedDesk) -> None:
    pages = running.run("desk", "status", "--json").json["pages"]
    assert running.run("web", "code", "--json").json["error"]["code"] == "officer-needed"
    made = running.run("web", "code", "--json", *running.by("kim")).json
    assert (made["address"], made["officer"]) == (pages, "kim")
    browser = HTTPConnection("127.0.0.1", urlsplit(pages).port, timeout=WITHIN_S)
    typed = urlencode({"officer": "kim", "code": made["code"]})
    own = {"Host": urlsplit(pages).netloc, "Origin": pages, "Sec-Fetch-Site": "same-origin"}
    browser.request("POST", "/sign-in/code", typed, {**own, "Content-Type": "application/x-www-form-urlencoded"})
    answer = browser.getresponse()
    assert (answer.status, answer.headers["Location"]) == (303, "/settings/first")
    browser.close()
    (session,) = running.run("web", "sessions", "--json").json["sessions"]
    assert (session["officer"], session["factor"], session["locked"]) == ("kim", "code", False)
    assert running.run("web", "sessions", "--end", session["session"], "--json").code == 0
    assert running.run("web", "sessions", "--json").code == 5
    said = running.run("web", "code", *running.by("kim"))
    assert pages in said.out
    assert "One-time code: " in said.out


SCRIPT = """
import subprocess, sys
comity = [sys.executable, "-m", "exchange.cli.main"]
for words in sys.argv[1:]:
    typed = words == "login --officer kim"
    nobody = None if typed else subprocess.DEVNULL
    ran = subprocess.run([*comity, *words.split()], stdin=nobody, capture_output=not typed, text=True)
    print(f"<{words}: {ran.returncode} {(ran.stdout or '') + (ran.stderr or '')}>", flush=True)
"""


def test_an_officer_types_the_passphrase_once_and_acts_in_that_terminal_alone(running: ServedDesk) -> None:
    person = Terminal(
        running, "login --officer kim", "inbox --json", "sessions --json", "agenda --no-sync --json --officer lee",
        "logout", "inbox --json", program=(sys.executable, "-c", SCRIPT),
    )  # fmt: skip
    person.until("Passphrase of kim")
    others = Terminal(running, "inbox", "--officer", "lee")
    others.until("Passphrase of lee")  # kim's terminal is no matter of lee's
    person.type("secret of kim\n")
    code, shown = person.ended()
    said = dict(re.findall(r"<([^:>]+): (\d.*?)>\n", shown, re.DOTALL))
    assert code == 0
    assert "secret of kim" not in shown
    assert said["login --officer kim"].startswith("0")
    assert said["inbox --json"].startswith("1"), "signed out"
    assert "<inbox --json: 0" in shown
    assert '"kim"' in said["sessions --json"]
    # Nobody can be asked for lee's passphrase here, and kim's session is not lee's.
    assert said["agenda --no-sync --json --officer lee"].startswith("2")
    others.type("secret of lee\n")
    assert others.ended()[0] == 0


def test_who_is_signed_in_elsewhere_is_nobody_here(running: ServedDesk) -> None:
    with Shell(running) as kims, Shell(running) as other:
        assert kims.run("login", *running.by("kim")).code == 0
        assert kims.run("inbox", "--json").code == 0
        stranger = other.run("inbox", "--json")
        assert (stranger.code, stranger.json["error"]["code"]) == (1, "officer-needed")
        assert other.run("logout", "--json").json == {"officers": []}
        listed = other.run("sessions", "--json").json["sessions"]
        assert ("kim", False) in {(one["officer"], one["here"]) for one in listed}
        assert other.run("login", *running.by("lee")).code == 0
        assert kims.run("logout", "--json").json == {"officers": ["kim"]}
        assert kims.run("inbox", "--json").json["error"]["code"] == "officer-needed"
        assert other.run("inbox", "--json").code == 0
    left = running.run("sessions", "--json", *running.by("kim")).json["sessions"]
    assert {kims.pid, other.pid}.isdisjoint(one["leader"] for one in left)  # their terminals are closed


def test_a_passphrase_in_a_file_signs_nobody_in_and_a_wrong_one_is_refused(running: ServedDesk, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not it\n")
    wrong.chmod(0o600)
    with Shell(running) as program:
        for _ in range(2):
            assert program.run("inbox", "--json", *running.by("lee")).code == 0
        assert program.run("inbox", "--json").json["error"]["code"] == "officer-needed"
        refused = program.run("inbox", "--json", "--officer", "lee", "--officer-passphrase-file", str(wrong))
    assert refused.json["error"]["code"] == "keystore-locked"


def test_officers_at_once_are_each_recorded_as_themselves(running: ServedDesk) -> None:
    before = len(running.run("records", "list", "--json", *running.by("kim")).json["records"])
    sending = [running.begin("send", EXAMPLE, "--json", *running.by(one)) for one in ("kim", "lee", "nam") * 2]
    sent = [json.loads(one.communicate(timeout=WITHIN_S)[0])["id"] for one in sending]
    assert len(set(sent)) == 6
    records = running.run("records", "list", "--json", *running.by("kim")).json["records"]
    assert len(records) > before
    by = {message: record for record in records for message in sent if message in json.dumps(record)}
    assert [by[message]["officer"] for message in sent] == ["Kim (kim)", "Lee (lee)", "Nam (nam)"] * 2


# --- Ends -------------------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_a_command_of_the_service_with_one_line(running: ServedDesk) -> None:
    before = set(_copies(running))
    watching = Terminal(running, "watch", *running.by("kim"))
    until(lambda: set(_copies(running)) - before)
    asked = Terminal(running, "inbox", "--officer", "kim")
    asked.until("Passphrase of kim")
    asked.type("\x03")
    assert asked.ended() == (130, "Passphrase of kim: \ninterrupted\n")
    watching.type("\x03")
    code, shown = watching.ended()
    assert (code, "Traceback" in shown) == (130, False)


# Interrupts itself when it has imported or opened so many things: at any place of a command, and no clock is asked.
_INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where who started the tests ignores it
at, seen = {int(one) for one in sys.argv.pop(1).split(",")}, 0
def count(event, _):
    global seen
    if event in ("import", "open"):
        seen += 1
        if seen in at:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(count)
from exchange.cli.main import main
sys.argv[0] = "comity"
main()
"""


@pytest.mark.parametrize("at", ["25", "120,123", "450,451", "700", "1000,1001,1002"])
def test_an_interrupt_at_any_place_ends_a_command_with_one_line(desk: ServedDesk, at: str) -> None:
    if desk.service is not None:
        desk.stop()
    ran = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, at, "inbox", "--json", *desk.by("kim")],
        env=desk.environment(COMITY_PASSPHRASE_FILE=str(desk.passphrase)),
        cwd=desk.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=WITHIN_S,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "interrupted\n")


def test_a_caller_that_vanishes_ends_its_command(running: ServedDesk) -> None:
    before = set(_copies(running))
    watching = running.begin("watch", "--json", *running.by("kim"))
    commands = [os.pidfd_open(pid) for pid in until(lambda: set(_copies(running)) - before)]
    watching.kill()
    watching.communicate(timeout=WITHIN_S)
    for command in commands:
        assert select.select([command], [], [], WITHIN_S)[0]
        os.close(command)


def _copies(desk: ServedDesk) -> list[int]:
    """The processes of the commands that the service runs now."""
    assert desk.service is not None
    return [copy for warm in _children(desk.service.pid) for copy in _children(warm)]


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return []


def test_a_service_that_is_killed_takes_its_commands_along_and_their_callers_say_what_they_know(
    running: ServedDesk,
) -> None:
    before = set(_copies(running))
    watching = running.begin("watch", "--json", *running.by("kim"))
    until(lambda: set(_copies(running)) - before)
    running.kill()
    out, _ = watching.communicate(timeout=WITHIN_S)
    assert watching.returncode == 4
    refusal = json.loads(out.splitlines()[-1])  # a watch prints a line for each event
    assert refusal["error"]["code"] == "desk-service-lost"


def test_a_service_that_is_ended_lets_commands_end(running: ServedDesk) -> None:
    before = set(_copies(running))
    sending = [running.begin("send", EXAMPLE, "--json", *running.by("kim")) for _ in range(3)]
    until(lambda: set(_copies(running)) - before)
    assert running.stop() == 0
    for one in sending:
        out, err = one.communicate(timeout=WITHIN_S)
        # What came too late opens the home itself, and nobody gave it the passphrase.
        assert one.returncode == 0 or "passphrase" in out + err, (out, err)
    assert not (running.home / "run" / "command.sock").exists()


# --- Attacks ----------------------------------------------------------------------------------------------------------


def _connect(desk: ServedDesk) -> socket.socket:
    note = read_note(desk.home)
    assert note is not None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(note.command_socket)
    connection.settimeout(WITHIN_S)
    return connection


def _answer(connection: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionResetError):  # it closed before it read all that was sent
        while more := connection.recv(4_096):
            said += more
    return said


def _open_files(pid: int) -> int:
    """How many descriptors a service has; 0 where its memory is private to it and this is not the administrator."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def _closes_again(desk: ServedDesk, most: int) -> None:
    """Return when the service has no more descriptors than that: it opens some for a while by itself."""
    assert desk.service is not None
    pid = desk.service.pid
    until(lambda: _open_files(pid) <= most)


def _many(desk: ServedDesk, most: int) -> list[socket.socket]:
    """As many connections that say nothing as can be had at once."""
    note = read_note(desk.home)
    assert note is not None
    made: list[socket.socket] = []
    while len(made) < most:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        made.append(connection)
        try:
            connection.connect(note.command_socket)
        except BlockingIOError:
            break
    return made


GARBAGE = {
    "noise": b"\x16\x03\x01" + os.urandom(64),
    "another kind": wire.frame(wire.SIGNAL, b"\x09"),
    "no descriptors": wire.frame(wire.REQUEST, b"{}"),
    "too long": wire.REQUEST + (wire.MAX_REQUEST_BYTES + 1).to_bytes(4, "big"),
    "http": b"GET / HTTP/1.1\r\nHost: desk\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_request_is_refused_and_runs_nothing(running: ServedDesk, name: str) -> None:
    before = set(_copies(running))
    with _connect(running) as connection:
        connection.sendall(GARBAGE[name])
        assert _answer(connection)[:1] == wire.REFUSED
    assert set(_copies(running)) <= before


@pytest.mark.parametrize(
    "said",
    [
        b"[" * 100_000,
        b'{"arguments": ["inbox"]}',
        json.dumps({"arguments": [1], "environment": {}, "umask": 0, "streams": [["a", "b"]] * 3}).encode(),
        json.dumps({"arguments": ["x\0y"], "environment": {}, "umask": 0, "streams": [["a", "b"]] * 3}).encode(),
        json.dumps({"arguments": [], "environment": {}, "umask": -1, "streams": [["a", "b"]] * 3}).encode(),
    ],
)
def test_a_request_that_is_none_is_refused_with_its_descriptors_closed(running: ServedDesk, said: bytes) -> None:
    assert running.service is not None
    open_before = _open_files(running.service.pid)
    for _ in range(20):
        with _connect(running) as connection, open(os.devnull, "rb") as file:
            content = wire.frame(wire.REQUEST, said)
            socket.send_fds(connection, [content[:1]], [file.fileno()] * 4)
            connection.sendall(content[1:])
            assert _answer(connection)[:1] == wire.REFUSED
    with _connect(running) as connection, open(os.devnull, "rb") as file:
        socket.send_fds(connection, [b"R"], [file.fileno()] * 100)
    assert running.run("inbox", *running.by("kim")).code == 0
    _closes_again(running, open_before + 2)


def _request_of(**changes: Any) -> bytes:
    said = {"arguments": ["inbox"], "environment": {}, "umask": 0o077, "streams": [["utf-8", "strict"]] * 3}
    return wire.frame(wire.REQUEST, json.dumps({**said, **changes}).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {"A=B": "x"}},
        {"environment": {"": "x"}},
        {"environment": {"A": "\ud800"}},
        {"arguments": ["\udfff"]},
        {"streams": [["no-encoding", "strict"]] * 3},
        {"streams": [["base64", "strict"]] * 3},
        {"streams": [["utf-8", "no-handler"]] * 3},
    ],
)
def test_what_no_caller_has_is_refused_before_a_command_is_made(running: ServedDesk, changes: dict[str, Any]) -> None:
    content = _request_of(**changes)
    with _connect(running) as connection, open(os.devnull, "r+b") as file:
        folder = os.open(running.root, os.O_RDONLY)
        socket.send_fds(connection, [content[:1]], [file.fileno()] * 3 + [folder])
        os.close(folder)
        connection.sendall(content[1:])
        assert _answer(connection)[:1] == wire.REFUSED


def test_descriptors_that_are_odd_are_refused_or_harm_the_caller_alone(running: ServedDesk) -> None:
    assert running.service is not None
    open_before = _open_files(running.service.pid)
    content = _request_of()
    ends = socket.socketpair()
    lingering = socket.create_server(("127.0.0.1", 0))
    caller = socket.create_connection(lingering.getsockname())
    unread = lingering.accept()[0]
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3_600))
    caller.setblocking(False)
    with suppress(BlockingIOError):
        while caller.send(b"x" * 65_536):
            continue
    folder, null = os.open(running.root, os.O_RDONLY), os.open(os.devnull, os.O_RDWR)
    gone = running.root / "gone"
    gone.mkdir(exist_ok=True)
    removed = os.open(gone, os.O_RDONLY)
    gone.rmdir()
    odd = {
        "a folder that is none": [null] * 4,
        "sockets": [*(end.fileno() for end in ends), null, folder],
        "folders as streams": [folder] * 4,
        "a removed folder": [null] * 3 + [removed],
        "hundreds": [null] * 200 + [folder],
        "a folder and hundreds": [null] * 3 + [folder] * 200,
        "a socket whose end is waited for": [caller.fileno()] * 4,
        "a socket whose end is waited for, in a command": [null, caller.fileno(), null, folder],
    }
    try:
        for name, descriptors in odd.items():
            with _connect(running) as connection:
                socket.send_fds(connection, [content[:1]], descriptors)
                with suppress(BrokenPipeError):
                    connection.sendall(content[1:])
                if "waited" in name:
                    caller.close()
                if "command" not in name:
                    assert _answer(connection)[:1] in {wire.REFUSED, wire.TAKEN}, name
            assert running.run("inbox", *running.by("kim")).code == 0, name
    finally:
        for one in (*ends, lingering, unread):
            one.close()
        for number in (folder, null, removed):
            os.close(number)
    _closes_again(running, open_before + 2)


def test_a_program_that_put_its_own_socket_there_gets_no_terminal_and_the_service_ends(running: ServedDesk) -> None:
    assert running.service is not None
    note = read_note(running.home)
    assert note is not None
    os.unlink(note.command_socket)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as thief:
        thief.bind(note.command_socket)
        thief.listen()
        thief.settimeout(0.5)
        refused = running.run("inbox", "--json", *running.by("kim"), COMITY_PASSPHRASE_FILE=str(running.passphrase))
        # Refused, or, where the service has ended meanwhile, the command opens the home itself.
        assert refused.code == 0 or refused.json["error"]["code"] == "run-folder", refused
        with suppress(TimeoutError):
            got = thief.accept()[0]
            assert got.recv(4_096) == b""
        assert running.service.wait(WITHIN_S) != 0
    said, told = running.service.communicate()
    running.service = None
    assert "unavailable" in said + told
    assert "removed, or replaced" in said + told
    running.start()
    assert running.run("inbox", *running.by("kim")).code == 0


def test_a_service_whose_warm_process_is_killed_ends_and_tells_so(running: ServedDesk) -> None:
    assert running.service is not None
    before = set(_copies(running))  # of a command that was answered, and ends
    waiting = running.begin("inbox", "--wait", "30", *running.by("kim"))
    until(lambda: set(_copies(running)) - before)
    (warm,) = _children(running.service.pid)
    os.kill(warm, signal.SIGTERM)  # it ends with the service, and by nothing that asks
    os.kill(warm, signal.SIGKILL)
    assert running.service.wait(WITHIN_S) != 0
    said, told = running.service.communicate()
    running.service = None
    assert "unavailable" in said + told
    _out, err = waiting.communicate(timeout=WITHIN_S)
    assert waiting.returncode != 0
    assert "Traceback" not in err


def test_a_command_that_is_killed_says_that_it_is_not_known_whether_it_is_done(running: ServedDesk) -> None:
    before = set(_copies(running))
    waiting = running.begin("inbox", "--wait", "30", "--json", *running.by("kim"))
    (copy,) = until(lambda: set(_copies(running)) - before)
    os.kill(copy, signal.SIGKILL)
    out, err = waiting.communicate(timeout=WITHIN_S)
    assert "service-lost" in out + err
    assert running.run("inbox", *running.by("kim")).code == 0


def test_a_session_that_ends_while_a_command_runs_lets_it_end_and_runs_no_other(running: ServedDesk) -> None:
    with Shell(running) as shell:
        signed = shell.run("login", *running.by("kim"))
        assert signed.code == 0, signed
        before = set(_copies(running))
        command = subprocess.Popen(
            [*COMITY, "inbox", "--wait", "2", "--json", *running.by("kim")],
            env=running.environment(),
            cwd=running.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: set(_copies(running)) - before)
        assert shell.run("logout").code == 0
        assert command.wait(WITHIN_S) == 0
        assert command.stdout is not None
        command.stdout.close()
        assert shell.run("inbox", "--json").json["error"]["code"] == "officer-needed"


def test_callers_that_say_nothing_or_do_not_read_keep_nobody_waiting(running: ServedDesk) -> None:
    assert running.service is not None
    first = _connect(running)
    silent = _many(running, 2_000)
    _closes_again(running, 399)
    reading, full = os.pipe()
    os.set_blocking(full, False)
    try:
        while True:
            os.write(full, b"x" * 4_096)
    except BlockingIOError:
        os.set_blocking(full, True)
    stuck = subprocess.Popen(
        [*COMITY, "codes", "data_category"], stdout=full, env=running.environment(), cwd=running.root
    )
    stuck_there = subprocess.Popen(
        [*COMITY, "inbox", *running.by("kim")], stdout=full, env=running.environment(), cwd=running.root
    )
    try:
        assert running.run("inbox", *running.by("kim")).code == 0
        # Each was told why, when its time was over.
        assert _answer(first)[:1] == wire.REFUSED
    finally:
        for one in (stuck, stuck_there):
            one.kill()
            one.wait()
        for end in (reading, full):
            os.close(end)
        for one in (first, *silent):
            one.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_of_the_system_is_refused_even_past_the_folder(running: ServedDesk) -> None:
    note = read_note(running.home)
    assert note is not None
    code = "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
    code += "s.connect(sys.argv[1])\ns.sendall(b'R')\nprint(s.recv(1).decode())\n"

    def attempt() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, note.command_socket], capture_output=True, text=True, check=False
        )

    assert "PermissionError" in attempt().stderr
    opened: list[tuple[Path, int]] = []
    try:
        for place in (Path(note.command_socket), *Path(note.command_socket).parents):
            opened.append((place, place.stat().st_mode & 0o7777))
            place.chmod(0o777 if place.is_socket() else opened[-1][1] | 0o711)
        assert attempt().stdout.strip() == "N"
    finally:
        for place, mode in opened:
            place.chmod(mode)


def test_a_command_against_the_service_imports_nothing_slow(running: ServedDesk) -> None:
    code = (
        "import os, sys\n"
        "def ended(code):\n"
        "    os.write(2, (chr(10).join(sorted(sys.modules)) + chr(10)).encode())\n"
        "    leave(code)\n"
        "leave, os._exit = os._exit, ended\n"
        "from exchange.cli.main import main\n"
        "main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "inbox", "--json", *running.by("kim")],
        env=running.environment(), cwd=running.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    modules = set(ran.stderr.split())
    slow = {"aiohttp", "pydantic", "typer", "asyncio", "nacl", "cbor2", "sqlite3", "keys.local.terminal", "rich"}
    assert modules & slow == set()
    assert len(modules) < 130
