"""The parts of the desk's service by themselves: who owns a home, who is signed in, what a command is."""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli._commands import ROWS
from exchange.office.officers import key_file
from exchange.service import _commands, client, peers, wire
from exchange.service._commands import CommandServer
from exchange.service._warm import WarmProcess
from exchange.service.client import for_a_desk, home_of
from exchange.service.peers import Peer, TerminalSession, peer_of, session_of
from exchange.service.run_folder import LOCK, HeldPlaces, is_owned, owned, owners_of, read_note
from exchange.service.sessions import MAX_SESSIONS, Sessions
from exchange.service.unit import unit_text
from keys.commands import functions
from protocol.errors import DeskRunningError, RunFolderError, SessionError

SEED, PROOF = bytes(range(1, 33)), b"p" * 32
OPENS = ("with_desk(", "open_desk_here(", "_served(", "_reply(")


# --- Which commands a running desk runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [words for words, _ in functions(ROWS)])
def test_every_command_that_opens_a_desk_is_given_to_a_running_one_and_no_other(words: str) -> None:
    function: Any = dict(functions(ROWS))[words]
    helpers = [function.__globals__.get(name) for name in function.__code__.co_names]
    within = [function, *(one for one in helpers if getattr(one, "__module__", "") == function.__module__)]
    opens = any(call in inspect.getsource(one) for one in within for call in OPENS)
    assert for_a_desk([*words.split(), "x"]) == opens
    assert for_a_desk(["--officer", "init", "--home=/x", *words.split()]) == opens
    assert not for_a_desk([*words.split(), "--help"])


def test_the_home_is_that_of_the_last_option_else_of_the_variable() -> None:
    assert home_of(["inbox", "--home", "/a", "--home=/b"], {}) == "/b"
    assert home_of(["search", "--", "--home", "/a"], {"COMITY_HOME": "/c"}) == "/c"
    assert home_of(["inbox", "--home"], {}) == os.path.expanduser("~/.comity")


@given(st.binary(max_size=300), st.sampled_from([wire.REQUEST, wire.SIGNAL]))
def test_a_frame_says_how_long_it_is(content: bytes, kind: bytes) -> None:
    framed = wire.frame(kind, content)
    assert wire.length(framed[: wire.HEADER_BYTES]) == len(content)
    assert framed[wire.HEADER_BYTES :] == content


# --- Who owns a home --------------------------------------------------------------------------------------------------


@pytest.mark.outside
def test_a_home_has_one_owner_whatever_was_left_behind(tmp_path: Path) -> None:
    assert read_note(tmp_path) is None
    with owned(tmp_path, None, {}) as note:
        assert read_note(tmp_path) == note
        assert is_owned(tmp_path)
        with pytest.raises(DeskRunningError, match=str(os.getpid())), owned(tmp_path, None, {}):
            pass
        assert stat.S_IMODE(Path(note.folder).stat().st_mode) == 0o700
    assert not is_owned(tmp_path)
    left = socket.socket(socket.AF_UNIX)
    left.bind(note.command_socket)
    left.close()
    with owned(tmp_path, None, {}):
        assert not Path(note.command_socket).exists()


@pytest.mark.outside
def test_a_home_with_a_long_path_has_its_sockets_in_the_runtime_folder_or_says_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / ("h" * 100)
    home.mkdir()
    with pytest.raises(RunFolderError, match="107"), owned(home, None, {}):
        pass
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:
        with owned(home, None, {"XDG_RUNTIME_DIR": runtime}) as note:
            assert Path(note.folder).parent == Path(runtime)
            assert read_note(home) == note
        with owned(home, Path(runtime) / "short", {}) as note:
            assert note.folder == f"{runtime}/short"


@pytest.mark.parametrize("wrong", ["others", "file", "link", "no-socket"])
def test_a_folder_that_others_could_use_takes_no_sockets(tmp_path: Path, wrong: str) -> None:
    folder = tmp_path / "run"
    if wrong == "file":
        folder.write_text("")
    elif wrong == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
        if wrong == "others":
            folder.chmod(0o750)
        else:
            (folder / "command.sock").write_text("mine")
    with pytest.raises(RunFolderError), owned(tmp_path, None, {}):
        pass
    assert not is_owned(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x", "folder": 1}', b"\xff" * 5000])
def test_a_torn_note_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK).write_bytes(content)
    assert read_note(tmp_path) is None


# --- Who is signed in -------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def here() -> Peer:
    session = session_of(os.getpid(), os.geteuid())
    if session is None:  # this process's terminal session has no leader any more
        leader = peers._stat(os.getpid())
        assert leader is not None
        session = TerminalSession(os.geteuid(), os.getpid(), leader.started, 0)
    return Peer(os.geteuid(), os.getpid(), session)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    for officer in ("kim", "lee"):
        key_file(tmp_path, officer).write_bytes(b"x")
    return Sessions(tmp_path, 900, clock)


def changed(peer: Peer, **session: int) -> Peer:
    assert peer.session is not None
    return replace(peer, session=replace(peer.session, **session))


def test_a_session_is_of_its_user_its_terminal_and_the_start_of_its_first_process(
    sessions: Sessions, here: Peer
) -> None:
    sessions.begin(here, "kim", SEED, PROOF)
    assert here.session is not None
    found = sessions.find(here, None)
    assert found is not None
    assert (found.officer, found.seed()) == ("kim", SEED)
    for stranger in (
        changed(here, uid=here.uid + 1),
        changed(here, leader=here.session.leader + 1),
        changed(here, started=here.session.started + 1),  # the number was given to another process
        changed(here, terminal=here.session.terminal + 1),
        replace(here, session=None),
    ):
        assert sessions.find(stranger, "kim") is None
        assert sessions.find(stranger, "kim", PROOF) is None
        assert sessions.end(stranger) == []
    assert sessions.find(here, "lee") is None


def test_a_session_ends_when_nothing_was_done_and_its_key_is_overwritten(
    sessions: Sessions, here: Peer, clock: Clock
) -> None:
    session = sessions.begin(here, "kim", SEED, PROOF)
    for _ in range(3):
        clock.now += 899
        assert sessions.find(here, "kim") is session
    clock.now += 900
    assert sessions.find(here, "kim") is None
    assert not any(session._seed)
    with pytest.raises(SessionError):
        session.seed()


@pytest.mark.parametrize("by", ["logout", "key", "gone", "service"])
def test_a_session_that_ended_is_wiped_however_it_ended(
    sessions: Sessions, here: Peer, tmp_path: Path, by: str
) -> None:
    session = sessions.begin(here, "kim", SEED, PROOF)
    if by == "logout":
        assert sessions.end(here) == ["kim"]
    elif by == "key":
        key_file(tmp_path, "kim").write_bytes(b"another")
    elif by == "gone":
        key_file(tmp_path, "kim").unlink()
    else:
        sessions.end_all()
    assert sessions.find(here, "kim") is None
    assert not any(session._seed)
    assert "seed" not in repr(session)
    assert PROOF.decode() not in repr(session)


def test_a_program_that_gives_its_passphrase_each_time_signs_nobody_in(sessions: Sessions, here: Peer) -> None:
    sessions.begin(here, "kim", SEED, PROOF, stays=False)
    assert sessions.find(here, "kim") is None
    assert sessions.find(here, None) is None
    assert sessions.find(here, "kim", b"another" * 4) is None
    assert sessions.find(here, "kim", PROOF) is not None
    sessions.begin(here, "kim", SEED, PROOF)
    sessions.begin(here, "kim", SEED, PROOF, stays=False)  # a program in the terminal of one who is signed in
    assert sessions.find(here, "kim") is not None


def test_sessions_are_bounded_and_need_a_terminal_session_and_a_key_file(
    sessions: Sessions, here: Peer, tmp_path: Path
) -> None:
    with pytest.raises(SessionError):
        sessions.begin(replace(here, session=None), "kim", SEED, PROOF)
    with pytest.raises(SessionError):
        sessions.begin(here, "nobody", SEED, PROOF)
    for number in range(MAX_SESSIONS):
        key_file(tmp_path, f"o{number}").write_bytes(b"x")
        sessions.begin(here, f"o{number}", SEED, PROOF)
    with pytest.raises(SessionError, match=str(MAX_SESSIONS)):
        sessions.begin(here, "kim", SEED, PROOF)
    sessions.begin(here, "o0", SEED, PROOF)  # who signs in again takes no other place


# --- Who is at the other end ------------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.outside
def test_the_system_says_who_connected(pair: tuple[socket.socket, socket.socket]) -> None:
    peer = peer_of(pair[0])
    assert (peer.uid, peer.pid) == (os.geteuid(), os.getpid())
    assert peer.session == session_of(os.getpid(), os.geteuid())


@pytest.mark.outside
def test_a_process_that_ended_is_nobody_also_when_another_has_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    child = os.fork()
    if child == 0:
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(str(tmp_path / "s"))
        os._exit(0)  # its connection waits to be accepted; its number may be anybody's soon
    os.waitpid(child, 0)
    connection, _ = listening.accept()
    with listening, connection:
        # Whoever has the number now would be read in its place.
        own = peers._stat
        monkeypatch.setattr(peers, "_stat", lambda pid: own(os.getpid()))
        with pytest.raises(SessionError):
            peer_of(connection)


def test_a_process_name_with_brackets_and_spaces_says_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = b"7 (x) S 1 1 99 99) R 1 7 55 34816 0 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
    monkeypatch.setattr(peers.os, "open", lambda *_: 0)
    monkeypatch.setattr(peers.os, "read", lambda *_: evil)
    monkeypatch.setattr(peers.os, "close", lambda _: None)
    found = peers._stat(7)
    assert found is not None
    assert (found.session, found.terminal, found.started) == (55, 34816, 4242)


@pytest.mark.outside
def test_a_running_desks_memory_is_private_and_that_of_what_it_forks() -> None:
    code = (
        "import ctypes, os\n"
        "from exchange.service._warm import keep_memory_private\n"
        "keep_memory_private()\n"
        "child = os.fork()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)\n"  # PR_GET_DUMPABLE
        "child and os.waitpid(child, 0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "".join(ran.stdout.split()) == "00"


# --- The unit ---------------------------------------------------------------------------------------------------------


def test_the_unit_in_deploy_is_the_one_that_the_program_prints() -> None:
    deployed = (Path(__file__).resolve().parents[3] / "deploy" / "comity-desk@.service").read_text("utf-8")
    program, home = Path("/opt/comity/.venv/bin/comity"), Path("/var/lib/comity-desk/%i")
    assert deployed == unit_text(program, home, "%i", Path("/etc/comity/desk-%i")) + "\n"


def test_the_unit_names_the_program_the_home_the_user_and_no_secret() -> None:
    text = unit_text(Path("/opt/bin/comity"), Path("/srv/desk"), "officers", Path("/etc/secret"))
    assert "ExecStart=/opt/bin/comity desk run --home /srv/desk" in text
    assert "User=officers" in text
    assert "LoadCredential=passphrase:/etc/secret" in text
    assert "@" not in text.replace("@system-service", "").replace("@privileged", "").replace("@resources", "")


@pytest.mark.outside
def test_a_command_gives_its_terminal_to_a_service_of_its_own_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned(tmp_path, None, {}) as note, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(note.command_socket)
        listening.listen()
        monkeypatch.setattr(client.os, "geteuid", lambda: os.getuid() + 1)  # so the one who listens is another user
        monkeypatch.setattr(client, "_in_background", lambda: False)
        with pytest.raises(RunFolderError, match="listens"):
            client.forwarded(["inbox", "--home", str(tmp_path)])
        connection, _ = listening.accept()
        with connection:
            assert socket.recv_fds(connection, 1, 4)[:2] == (b"", [])


# --- What others of the same user do to it ----------------------------------------------------------------------------


@pytest.mark.outside
def test_the_system_says_which_process_owns_a_home_and_another_ones_socket_gets_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert owners_of(tmp_path) == frozenset()
    with tempfile.TemporaryDirectory(dir="/tmp") as short, owned(tmp_path, Path(short) / "run", {}) as note:
        assert owners_of(tmp_path) == {os.getpid()}
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(note.command_socket)
            listening.listen()
            client._connected(str(tmp_path), note).close()
            monkeypatch.setattr(client, "owners_of", lambda home: frozenset({1}))
            with pytest.raises(RunFolderError, match=f"process {os.getpid()} listens"):
                client._connected(str(tmp_path), note)
            # A system that does not say who owns it keeps nobody from working.
            monkeypatch.setattr(client, "owners_of", lambda home: frozenset())
            client._connected(str(tmp_path), note).close()


@pytest.mark.outside
@pytest.mark.parametrize("harm", ["lock", "command.sock", "api.sock", "home"])
def test_a_service_sees_when_others_no_longer_find_it(harm: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        home = Path(short) / "home"
        home.mkdir(mode=0o700)
        with owned(home, None, {}) as note, socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
            one.bind(note.command_socket)
            two.bind(note.api_socket)
            places = HeldPlaces(home, note)
            assert places.lost() is None
            if harm == "home":
                home.rename(Path(short) / "moved")
            elif harm == "lock":
                (home / LOCK).unlink()
                (home / LOCK).write_bytes(b"{}")
            else:
                (Path(note.folder) / harm).rename(Path(note.folder) / "away")
                with socket.socket(socket.AF_UNIX) as thief:
                    thief.bind(str(Path(note.folder) / harm))
            lost = places.lost()
            assert lost is not None
            assert harm == "home" or lost.endswith(LOCK if harm == "lock" else harm)


@pytest.mark.outside
def test_a_note_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK)
    assert read_note(tmp_path) is None
    assert not is_owned(tmp_path)


@pytest.mark.outside
def test_who_connected_is_found_also_where_many_descriptors_are_open(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 4_096), before[1]))
    held = peers._held

    def far(connection: socket.socket, pid: int) -> int:
        near = held(connection, pid)
        try:
            return fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 2_000)
        finally:
            os.close(near)

    monkeypatch.setattr(peers, "_held", far)
    try:
        assert peer_of(pair[0]).pid == os.getpid()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class _Stopped:
    """A warm process that somebody stopped: it takes what is said, and does nothing."""

    def __init__(self) -> None:
        self.killed = False

    async def make(self, number: int, descriptors: list[int]) -> None:
        """Never told of."""

    def kill(self) -> None:
        self.killed = True


async def test_a_warm_process_that_makes_no_command_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_commands, "MADE_WITHIN_S", 0.01)
    loop, warm = asyncio.get_running_loop(), _Stopped()
    serving = CommandServer(cast("Any", warm), cast("Any", None), lambda: None)
    running = _commands._Running(1, cast("Any", None), cast("Any", None), loop.create_future(), loop.create_future())
    await serving._make(running, [])
    assert warm.killed
    running.made.set_result(None)
    warm.killed = False
    await serving._make(running, [])
    assert not warm.killed


@pytest.mark.outside
async def test_a_warm_process_that_does_not_read_keeps_the_event_loop_free(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    warm = WarmProcess(os.getpid(), ours)
    with theirs:
        saying = [asyncio.create_task(warm.signal(1, signal.SIGCONT)) for _ in range(5_000)]
        await asyncio.sleep(0)
        assert not all(one.done() for one in saying)
        theirs.setblocking(False)
        while not all(one.done() for one in saying):
            with suppress(BlockingIOError):
                theirs.recv(64)
            await asyncio.sleep(0)
    ours.close()


@pytest.mark.outside
def test_a_service_that_does_not_hear_an_interrupt_is_not_waited_for_and_one_that_hears_is(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_HEARS_WITHIN_S", 0)
    caller, service = pair
    asked = client._Asked()
    asked.to_end()
    assert client._answer(caller, asked) == (None, b"")
    assert asked.in_vain()
    service.sendall(wire.frame(wire.HEARD) + wire.frame(wire.ENDED, b"\x82"))
    assert client._answer(caller, asked) == (wire.ENDED, b"\x82")
    assert not asked.in_vain()
