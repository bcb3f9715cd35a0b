"""What a command and the desk's service say to each other over the command socket.

A frame is a kind (one byte), a length (four bytes, big-endian) and so many bytes. The command says ``REQUEST`` once, as
JSON, with four descriptors beside its first byte (RFC-less, ``SCM_RIGHTS``): standard input, output and error, and its
working folder. Then it may say ``SIGNAL`` (one byte, the signal's number), and hears ``HEARD`` for each. The service
says ``TAKEN`` before anything of the command runs, and at last ``ENDED`` (one byte, the exit code) or ``REFUSED``
(JSON: code and detail). After ``REFUSED`` nothing ran.

The command reads and writes its own terminal and files by those descriptors: the service relays no content.
"""

from __future__ import annotations

REQUEST, SIGNAL, TAKEN, ENDED, REFUSED, LOST, HEARD = b"R", b"S", b"T", b"E", b"N", b"L", b"H"
HEADER_BYTES = 5
DESCRIPTORS = 4
# The arguments and the environment of a process have 2 MiB at most on Linux; as JSON they grow.
MAX_REQUEST_BYTES = 8 * 1024 * 1024
MAX_REPLY_BYTES = 65_536


def frame(kind: bytes, content: bytes = b"") -> bytes:
    """One frame."""
    return kind + len(content).to_bytes(4, "big") + content


def length(header: bytes) -> int:
    """How many bytes follow this header."""
    return int.from_bytes(header[1:HEADER_BYTES], "big")
