"""The real ClamAV daemon and a real ICAP server before it, out of Debian's packages, with signatures of our own."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

import pytest

from exchange.content.scanning import TRIAL, Scanning
from exchange.content.verdicts import ScanResult, ScanVerdict
from exchange.settings import ScanningSettings
from protocol.errors import FileInfectedError, FileNotScannedError
from tests.conftest import require
from tests.worlds.patience import WITHIN_S
from tests.worlds.scanners import PEERS, SIGNATURE, SIGNATURE_NAME, connects, debian, running, tcp_listener

LIMIT_BYTES = 2**20

pytestmark = pytest.mark.outside


@pytest.fixture(scope="module")
def clamd() -> Iterator[Path]:
    """The socket of a daemon that knows the trial file and one signature, and takes streams of 1 MiB."""
    require(debian("clamd") is not None, "ClamAV in .cache/interop/scanners")
    with tempfile.TemporaryDirectory(prefix="av") as name:
        folder = Path(name)
        (folder / "db").mkdir()
        (folder / "db" / "own.ndb").write_text(f"{SIGNATURE_NAME}:0:*:{SIGNATURE.hex()}\n")
        trial = md5(TRIAL, usedforsecurity=False).hexdigest()
        (folder / "db" / "own.hdb").write_text(f"{trial}:{len(TRIAL)}:Eicar-Test-Signature\n")
        path = folder / "s"
        (folder / "clamd.conf").write_text(
            f"DatabaseDirectory {folder / 'db'}\nLocalSocket {path}\nForeground yes\nStreamMaxLength {LIMIT_BYTES}\n"
            f"TemporaryDirectory {folder}\nMaxThreads 2\n"
        )
        command = [str(debian("clamd")), "-c", str(folder / "clamd.conf")]
        with running(command, lambda: path.exists() and connects(socket.AF_UNIX, str(path))):
            yield path


@pytest.fixture(scope="module")
def icap(clamd: Path) -> Iterator[str]:
    """The URL of an ICAP server that asks that daemon."""
    require(debian("c-icap") is not None, "c-icap in .cache/interop/scanners")
    listener, port = tcp_listener()
    listener.close()
    modules = PEERS / "usr" / "lib" / "x86_64-linux-gnu" / "c_icap"
    with tempfile.TemporaryDirectory(prefix="icap") as name:
        folder = Path(name)
        (folder / "c-icap.conf").write_text(
            f"PidFile {folder}/pid\nCommandsSocket {folder}/ctl\nPort 127.0.0.1:{port}\nTmpDir {folder}\n"
            f"StartServers 1\nMaxServers 2\nServerLog {folder}/log\nAccessLog {folder}/access\n"
            f"ModulesDir {modules}\nServicesDir {modules}\nTemplateDir {PEERS}/usr/share/c_icap/templates/\n"
            f"LoadMagicFile {PEERS}/etc/c-icap/c-icap.magic\n"
            "Service antivirus_module virus_scan.so\n"
            "ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple\n"
            "virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE\n"
            f"Module common clamd_mod.so\nclamd_mod.ClamdSocket {clamd}\n"
        )
        command = [str(debian("c-icap")), "-N", "-f", str(folder / "c-icap.conf")]
        with running(command, lambda: connects(socket.AF_INET, ("127.0.0.1", port))):
            yield f"icap://127.0.0.1:{port}/avscan"


def scanned(tmp_path: Path, content: bytes, **settings: object) -> tuple[Scanning, ScanResult]:
    (tmp_path / "file").write_bytes(content)
    hook = Scanning(ScanningSettings.model_validate({"policy": "block", "timeout_s": WITHIN_S, **settings}))
    return hook, hook.scan(tmp_path / "file")


FILES = [
    (b"an order of one page", ScanVerdict.CLEAN),
    (b"", ScanVerdict.CLEAN),
    (bytes(300_000), ScanVerdict.CLEAN),
    (b"x" * 200_000 + SIGNATURE + b"y" * 1_000, ScanVerdict.INFECTED),
    (b"stream: OK\0stream: OK\0 204 No Modifications\r\n\r\n" + SIGNATURE, ScanVerdict.INFECTED),
    (TRIAL, ScanVerdict.INFECTED),
]


@pytest.mark.parametrize(("content", "verdict"), FILES)
def test_clamav_finds_our_signature_and_nothing_else(
    tmp_path: Path, clamd: Path, content: bytes, verdict: ScanVerdict
) -> None:
    hook, result = scanned(tmp_path, content, clamd=str(clamd))
    assert result.verdict is verdict, result
    assert result.finding.scanner.startswith("ClamAV ")
    if verdict is ScanVerdict.INFECTED:
        with pytest.raises(FileInfectedError):
            hook.require(result)


def test_beyond_clamavs_stream_length_a_file_is_not_scanned(tmp_path: Path, clamd: Path) -> None:
    hook, result = scanned(tmp_path, bytes(LIMIT_BYTES + 1), clamd=str(clamd))
    assert (result.verdict, result.finding.reason) == (ScanVerdict.NOT_SCANNED, "scanner-limit")
    with pytest.raises(FileNotScannedError):
        hook.require(result)


@pytest.mark.parametrize(("content", "verdict"), FILES)
def test_an_icap_server_finds_it_too(tmp_path: Path, icap: str, content: bytes, verdict: ScanVerdict) -> None:
    _, result = scanned(tmp_path, content, icap=icap)
    assert result.verdict is verdict, result


def test_an_icap_server_that_knows_no_such_service_scans_nothing(tmp_path: Path, icap: str) -> None:
    _, result = scanned(tmp_path, b"x", icap=icap.replace("avscan", "none"))
    assert result.verdict is ScanVerdict.NOT_SCANNED


def test_both_scanners_are_asked_and_the_worst_counts(tmp_path: Path, clamd: Path, icap: str) -> None:
    _, result = scanned(tmp_path, SIGNATURE, clamd=str(clamd), icap=icap)
    assert result.verdict is ScanVerdict.INFECTED
