"""Scanners: what is not clean beyond doubt is never said to be, whatever the scanner or the file does."""

from __future__ import annotations

import os
import select
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from exchange.content._stream import Hashed
from exchange.content.clamd import Clamd
from exchange.content.icap import Icap
from exchange.content.scanning import TRIAL, Scanning
from exchange.content.verdicts import ScanFinding, ScanVerdict
from exchange.settings import ScanningSettings
from protocol.errors import FileInfectedError, FileNotScannedError, UsageError
from tests.worlds.patience import WITHIN_S
from tests.worlds.scanners import (
    NO_MODIFICATIONS,
    SIGNATURE,
    IcapServer,
    Served,
    clamd_that,
    finds_the_trial,
    icap_found,
    icap_gives_back,
    served,
    tcp_listener,
    unix_listener,
)

pytestmark = pytest.mark.outside
# Only of a scanner that hangs has the end to be waited for: the others have all the time of a busy machine.
HANGS_S = 0.4


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="c") as name:
        yield Path(name)


def by_clamd(folder: Path, answer: Served, content: bytes = b"a file", wait_s: float = WITHIN_S) -> ScanFinding:
    with served(unix_listener(folder / "s"), answer):
        return Clamd(folder / "s", wait_s).scan(Hashed(BytesIO(content), len(content)))


def by_icap(
    answer: Served, content: bytes = b"a file that is longer than its preview", wait_s: float = WITHIN_S
) -> ScanFinding:
    listener, port = tcp_listener()
    with served(listener, answer):
        return Icap(f"icap://127.0.0.1:{port}/scan", wait_s).scan(Hashed(BytesIO(content), len(content)))


def never(connected: socket.socket) -> None:
    """A scanner that takes everything and says nothing."""
    while connected.recv(65_536):
        pass


# --- clamd --------------------------------------------------------------------------------------------------------


def test_clamd_says_clean_and_infected_with_its_version(folder: Path) -> None:
    assert by_clamd(folder, clamd_that(finds_the_trial)) == ScanFinding(ScanVerdict.CLEAN, "ClamAV 1.4.6/1/Test")
    (folder / "s").unlink()
    assert by_clamd(folder, clamd_that(finds_the_trial), b"x" + SIGNATURE) == ScanFinding(
        ScanVerdict.INFECTED, "ClamAV 1.4.6/1/Test", None, "Own"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"INSTREAM size limit exceeded. ERROR\0", "scanner-limit"),
        (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", "scanner-limit"),
        (b"stream: Heuristics.Encrypted.Zip FOUND\0", "scanner-limit"),
        (b"stream: x FOUND OK\0", "protocol"),
        (b"stream: OK FOUND OK\0", "protocol"),
        (b"stream: OK\0stream: Own FOUND\0", "protocol"),
        (b"stream: OK\n\0", "protocol"),
        (b"stream: \x1b[2J FOUND\0", "protocol"),
        (b"/etc/passwd: OK\0", "protocol"),
        (b"OK\0", "protocol"),
        (b"\0", "protocol"),
        (b"stream: OK", "protocol"),  # and then it hangs up
        (b"x" * 100_000, "protocol"),
        (b"", "protocol"),
    ],
)
def test_an_answer_of_clamd_that_is_not_exactly_one_is_no_verdict(folder: Path, answer: bytes, reason: str) -> None:
    found = by_clamd(folder, clamd_that(lambda _: answer))
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, reason)


@given(st.binary(max_size=60))
def test_no_answer_but_the_one_is_clean(answer: bytes) -> None:
    from exchange.content.clamd import _read

    text = answer.decode("ascii", "replace")
    assert (_read(text, "v", whole=True).verdict is ScanVerdict.CLEAN) == (text == "stream: OK")


def test_clamd_that_says_clean_before_it_has_the_file_is_not_believed(folder: Path) -> None:
    def hasty(connected: socket.socket) -> None:
        if connected.recv(64).startswith(b"zVERSION"):
            connected.sendall(b"ClamAV\0")
            return
        connected.sendall(b"stream: OK\0")
        never(connected)

    found = by_clamd(folder, hasty, bytes(4 * 2**20))
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, "protocol")


def test_beyond_clamds_own_limit_a_file_is_not_scanned(folder: Path) -> None:
    found = by_clamd(folder, clamd_that(finds_the_trial, limit=100_000), bytes(4 * 2**20))
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, "scanner-limit")


@pytest.mark.parametrize("reads", [True, False])
def test_a_clamd_that_hangs_ends_the_wait(folder: Path, reads: bool) -> None:
    def hangs(connected: socket.socket) -> None:
        if connected.recv(64).startswith(b"zVERSION"):
            connected.sendall(b"ClamAV\0")
        elif reads:
            never(connected)
        else:
            gone = select.poll()
            gone.register(connected, 0)
            gone.poll()

    found = by_clamd(folder, hangs, bytes(4 * 2**20), HANGS_S)
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, "timeout")


def test_without_clamd_a_file_is_not_scanned(folder: Path) -> None:
    found = Clamd(folder / "none", WITHIN_S).scan(Hashed(BytesIO(b"x"), 1))
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, "unreachable")


# --- ICAP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", ["RESPMOD", "REQMOD", "REQMOD, RESPMOD"])
@pytest.mark.parametrize("preview", [None, 0, 16, 1024])
def test_icap_counts_as_clean_when_every_byte_was_sent(methods: str, preview: int | None) -> None:
    seen: list[bytes] = []

    def judge(content: bytes) -> bytes:
        seen.append(content)
        return NO_MODIFICATIONS

    server = IcapServer(judge, methods=methods, preview=preview)
    content = b"a file that is longer than its preview"
    assert by_icap(server, content) == ScanFinding(ScanVerdict.CLEAN, "Strict test")
    assert seen == [content]
    assert server.seen[-1] == ("RESPMOD" if "RESPMOD" in methods else "REQMOD")


def test_icap_names_what_it_found() -> None:
    found = by_icap(IcapServer(lambda _: icap_found("Own.Virus")))
    assert found == ScanFinding(ScanVerdict.INFECTED, "Strict test", None, "Own.Virus")


def test_a_file_that_comes_back_as_it_was_is_clean_and_cannot_speak_for_the_server() -> None:
    content = b"X-Infection-Found: Threat=Spoofed;\r\n\r\n" + SIGNATURE
    assert by_icap(IcapServer(icap_gives_back), content).verdict is ScanVerdict.CLEAN
    empty = by_icap(IcapServer(icap_gives_back), b"")
    assert empty.verdict is ScanVerdict.CLEAN


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (icap_gives_back(b"another file"), "modified"),
        (icap_gives_back(b"a file that is longer than its preview", 403), "modified"),
        (icap_gives_back(b"a file that is longer than its preview" + b"x"), "modified"),
        (b"ICAP/1.0 404 ICAP Service not found\r\n\r\n", "protocol"),
        (b"ICAP/1.0 500 Server error\r\nX-Infection-Found: Threat=x;\r\n\r\n", "protocol"),
        (b"ICAP/1.0 100 Continue\r\n\r\n", "protocol"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "protocol"),
        (b"ICAP/1.0 204 ok\r\nno colon\r\n\r\n", "protocol"),
        (b"ICAP/1.0 200 OK\r\n\r\n", "modified"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nzz\r\n", "protocol"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=999999\r\n\r\n", "protocol"),
        (b"x" * 100_000, "protocol"),
        (b"", "protocol"),
    ],
)
def test_an_icap_answer_that_lets_nothing_pass_is_no_verdict(answer: bytes, reason: str) -> None:
    found = by_icap(IcapServer(lambda _: answer))
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, reason)


def test_a_server_that_saw_the_preview_alone_scanned_nothing() -> None:
    found = by_icap(IcapServer(lambda _: NO_MODIFICATIONS, continues=False))
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, "preview-only")


@pytest.mark.parametrize(("answer", "verdict"), [(NO_MODIFICATIONS, "not scanned"), (icap_found("Own"), "infected")])
def test_a_server_that_answers_before_it_has_the_file_can_only_accuse(answer: bytes, verdict: str) -> None:
    class Hasty(IcapServer):
        def _body(self, reader: object, connected: socket.socket, headers: dict[str, str]) -> bytes:
            return b""

    assert by_icap(Hasty(lambda _: answer, preview=None), bytes(8 * 2**20)).verdict == verdict


def test_an_icap_server_that_hangs_ends_the_wait() -> None:
    found = by_icap(never, wait_s=HANGS_S)
    assert (found.verdict, found.reason) == (ScanVerdict.NOT_SCANNED, "timeout")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(built.sign(key, SHA256()).public_bytes(Encoding.PEM) + private)
    return path


@pytest.mark.parametrize("trusted", [True, False])
def test_another_machine_gets_the_plaintext_by_tls_and_only_if_its_certificate_is_vouched_for(
    authority: Path, trusted: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    server, listener_port = IcapServer(lambda _: NO_MODIFICATIONS), tcp_listener()
    listener, port = listener_port

    def by_tls(connected: socket.socket) -> None:
        with context.wrap_socket(connected, server_side=True) as inside:
            server(inside)

    content = bytes(3 * 2**20)
    with served(listener, by_tls):
        scanner = Icap(f"icaps://localhost:{port}/scan", WITHIN_S, str(authority) if trusted else None)
        found = scanner.scan(Hashed(BytesIO(content), len(content)))
    assert (found.verdict, found.reason) == (
        (ScanVerdict.CLEAN, None) if trusted else (ScanVerdict.NOT_SCANNED, "unreachable")
    )
    assert bool(server.seen) is trusted


class Recorded:
    """What a scanner on the other end of a socket pair says, whatever it is asked."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def __call__(self) -> socket.socket:
        near, far = socket.socketpair()
        with far:
            far.sendall(self._answers.pop(0) if self._answers else b"")
            far.shutdown(socket.SHUT_WR)
        return near


STATUSES = [b"ICAP/1.0 200 OK\r\n", b"ICAP/1.0 204 x\r\n", b"ICAP/1.0 100 Continue\r\n\r\n", b"\r\n\r\n"]
PARTS = [b"X-Infection-Found: Threat=x;\r\n", b"Encapsulated: res-body=0\r\n", b"5\r\nhello\r\n0\r\n\r\n"]
ICAP_BYTES = st.lists(st.one_of(st.sampled_from(STATUSES + PARTS), st.binary(max_size=20)), max_size=6).map(b"".join)


@given(ICAP_BYTES, ICAP_BYTES)
def test_nothing_that_an_icap_server_says_out_of_turn_is_a_clean_verdict(offer: bytes, answer: bytes) -> None:
    scanner = Icap("icap://127.0.0.1:1/scan", 1)
    scanner._connected = Recorded(offer, answer)  # type: ignore[method-assign]
    found = scanner.scan(Hashed(BytesIO(b"hello"), 5))
    assert found.verdict is not ScanVerdict.CLEAN
    assert (found.reason is None) == (found.verdict is ScanVerdict.INFECTED)
    assert found.scanner.isprintable()


CLAMD_BYTES = st.one_of(st.binary(max_size=40), st.sampled_from([b"stream: OK\0", b"stream: x FOUND\0"]))


@given(st.binary(max_size=40), CLAMD_BYTES)
def test_nothing_that_clamd_says_out_of_turn_is_a_clean_verdict(version: bytes, answer: bytes) -> None:
    scanner = Clamd(Path("/none"), 1)
    scanner._connected = Recorded(version + b"\0", answer)  # type: ignore[method-assign]
    found = scanner.scan(Hashed(BytesIO(b"hello"), 5))
    assert found.verdict is not ScanVerdict.CLEAN
    assert found.scanner.isprintable()


# --- The hook -----------------------------------------------------------------------------------------------------


class Says:
    """A scanner that knows the trial file and says one thing of every other."""

    def __init__(self, finding: ScanFinding, *, knows_the_trial: bool = True) -> None:
        self.finding = finding
        self.knows = knows_the_trial

    def scan(self, content: Hashed) -> ScanFinding:
        read = b"".join(content.pieces())
        if read == TRIAL and self.knows:
            return ScanFinding(ScanVerdict.INFECTED, "a", None, "Trial")
        return self.finding


CLEAN = ScanFinding(ScanVerdict.CLEAN, "a")
INFECTED = ScanFinding(ScanVerdict.INFECTED, "b", None, "Own")
UNKNOWN = ScanFinding(ScanVerdict.NOT_SCANNED, "c", "timeout")


def settings(policy: str, **more: object) -> ScanningSettings:
    return ScanningSettings.model_validate({"policy": policy, "clamd": "/run/clamd", **more})


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([CLEAN], ScanVerdict.CLEAN),
        ([CLEAN, CLEAN], ScanVerdict.CLEAN),
        ([CLEAN, UNKNOWN], ScanVerdict.NOT_SCANNED),
        ([CLEAN, INFECTED], ScanVerdict.INFECTED),
        ([UNKNOWN, INFECTED], ScanVerdict.INFECTED),
    ],
)
@pytest.mark.parametrize("policy", ["block", "warn"])
def test_the_worst_finding_counts_and_the_policy_says_what_follows(
    tmp_path: Path, findings: list[ScanFinding], verdict: ScanVerdict, policy: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    hook = Scanning(settings(policy), [Says(one) for one in findings])
    result = hook.scan(tmp_path / "file")
    assert result.verdict is verdict
    refused = {ScanVerdict.INFECTED: FileInfectedError, ScanVerdict.NOT_SCANNED: FileNotScannedError}.get(verdict)
    if policy == "block" and refused is not None:
        with pytest.raises(refused):
            hook.require(result)
    else:
        hook.require(result)


def test_a_scanner_that_does_not_find_the_trial_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    result = Scanning(settings("block"), [Says(CLEAN, knows_the_trial=False)]).scan(tmp_path / "file")
    assert (result.verdict, result.finding.reason) == (ScanVerdict.NOT_SCANNED, "blind")


def test_a_file_beyond_the_limit_is_given_to_nobody_and_is_not_scanned(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"xyz")
    asked = Scanning(settings("block", max_bytes=2), [Says(CLEAN)]).scan(tmp_path / "file")
    assert (asked.verdict, asked.finding.reason, asked.sha256) == (ScanVerdict.NOT_SCANNED, "too-large", None)


def test_a_file_that_grows_while_it_is_scanned_is_not_scanned(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")

    class Grows(Says):
        def scan(self, content: Hashed) -> ScanFinding:
            found = super().scan(content)
            path.write_bytes(b"xx")
            return found

    result = Scanning(settings("block"), [Grows(CLEAN)]).scan(path)
    assert (result.verdict, result.finding.reason) == (ScanVerdict.NOT_SCANNED, "file-changed")


def test_with_the_policy_off_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    hook = Scanning(ScanningSettings(), [])
    result = hook.scan(tmp_path / "file")
    assert (result.verdict, result.finding.reason) == (ScanVerdict.NOT_SCANNED, "off")
    hook.require(result)


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("make", [_link, Path.mkdir, os.mkfifo])
def test_links_folders_and_pipes_are_no_files(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "file")
    with pytest.raises(UsageError):
        Scanning(ScanningSettings(), []).scan(tmp_path / "file")


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "block"},
        {"policy": "warn", "icap": "icap://scanner.example.org/avscan"},
        {"policy": "warn", "icap": "icap://127.0.0.1.example.org/avscan"},
        {"policy": "warn", "clamd": "127.0.0.1:3310"},
    ],
)
def test_plaintext_leaves_this_machine_by_tls_alone_and_a_policy_needs_a_scanner(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ScanningSettings.model_validate(wrong)
