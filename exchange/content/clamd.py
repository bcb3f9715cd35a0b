"""A file given to ClamAV's daemon over its Unix socket (command INSTREAM of clamd(8)).

The daemon gets the bytes in the clear, and nothing else: no name. Its answer holds a signature's name out of its own
database, and nothing of the file. It is read strictly: whatever is not exactly an answer is no verdict.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

from exchange.content._stream import AnsweredEarlyError, Conversation, Hashed, ScannerFailedError
from exchange.content.verdicts import ScanFinding, ScanVerdict

_MAX_ANSWER_BYTES = 4_096
_LENGTH_BYTES = 4
_FOUND = re.compile(r"stream: ([\x21-\x7e]{1,300}) FOUND")
# The names by which clamd says that it looked at a part alone, or could not look inside.
_LOOKED_AT_A_PART = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")


class Clamd:
    """The daemon behind one Unix socket; ``wait_s`` bounds each wait."""

    def __init__(self, path: Path, wait_s: float) -> None:
        self._path = path
        self._wait_s = wait_s

    def scan(self, content: Hashed) -> ScanFinding:
        """What the daemon says of a file; never raises for anything that the daemon does."""
        version = ""
        try:
            version = self._version()
            answer = self._answer(content)
        except ScannerFailedError as problem:
            return ScanFinding(ScanVerdict.NOT_SCANNED, version or "clamd", str(problem))
        return _read(answer, version, whole=content.is_whole)

    def _version(self) -> str:
        with self._connected() as connected:
            talk = Conversation(connected, self._wait_s, 0)
            talk.send(b"zVERSION\0")
            said = _words(talk)
        if not said.isprintable() or not said:
            raise ScannerFailedError("protocol")
        return said[:200]

    def _answer(self, content: Hashed) -> str:
        with self._connected() as connected:
            talk = Conversation(connected, self._wait_s, content.size)
            try:
                talk.send(b"zINSTREAM\0")
                for piece in content.pieces():
                    talk.send(len(piece).to_bytes(_LENGTH_BYTES, "big") + piece)
                talk.send(bytes(_LENGTH_BYTES))
            except AnsweredEarlyError:
                answer = _words(talk)
                if answer == "stream: OK":
                    raise ScannerFailedError("protocol") from None
                return answer
            return _words(talk)

    def _connected(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(self._wait_s)
        try:
            connected.connect(str(self._path))
        except OSError:
            connected.close()
            raise ScannerFailedError("unreachable") from None
        return connected


def _words(talk: Conversation) -> str:
    """The one answer; raises :class:`ScannerFailedError` where more follows."""
    answer = talk.read_until(b"\0", _MAX_ANSWER_BYTES).decode("ascii", "replace")
    if talk.has_more:
        raise ScannerFailedError("protocol")
    return answer


def _read(answer: str, version: str, *, whole: bool) -> ScanFinding:
    if answer == "stream: OK" and whole:
        return ScanFinding(ScanVerdict.CLEAN, version)
    found = _FOUND.fullmatch(answer)
    if found is None:
        reason = "scanner-limit" if answer.startswith("INSTREAM size limit exceeded") else "protocol"
        return ScanFinding(ScanVerdict.NOT_SCANNED, version, reason)
    if found[1].startswith(_LOOKED_AT_A_PART):
        return ScanFinding(ScanVerdict.NOT_SCANNED, version, "scanner-limit", found[1])
    return ScanFinding(ScanVerdict.INFECTED, version, None, found[1])
