"""Another implementation opens our sealed files: Node, written from docs/protocol.md, with its own cryptography.

It is given the sealed file and the opened message, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require_program
from tests.interop.node_program import SCRIPTS
from tests.vectors import make_file_vectors as maker
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside

MIB = 1 << 20
MESSAGE = {"type": "files", "attachments": [maker.attachment(name) for name in maker.SIZES]}


def opened(folder: Path, sealed: bytes, message: dict[str, Any] = MESSAGE) -> tuple[bytes, str]:
    """What the other program wrote, and its error."""
    (folder / "sealed").write_bytes(sealed)
    (folder / "message.json").write_text(json.dumps(message), "utf-8")
    run = subprocess.run(
        [require_program("node"), str(SCRIPTS / "open_file.mjs"), "sealed", "message.json"],
        cwd=folder,
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (run.returncode == 0) == (run.stderr == b"")
    return run.stdout, run.stderr.decode()


@pytest.mark.parametrize("name", maker.SIZES)
def test_another_implementation_opens_a_sealed_file_from_its_message_alone(name: str, tmp_path: Path) -> None:
    _, segments, _ = maker.sealed(name)
    assert opened(tmp_path, b"".join(segments)) == (maker.plaintext(maker.SIZES[name][0]), "")


def with_changed(**changes: Any) -> dict[str, Any]:
    own = maker.attachment("segments")
    sealed = {**own["sealed"], **{name: changes.pop(name) for name in ("key",) if name in changes}}
    return {"attachments": [{**own, "sealed": sealed, **changes}]}


def _swapped(segments: list[bytes]) -> bytes:
    return segments[1] + segments[0] + segments[2]


def _one_bit(segments: list[bytes]) -> bytes:
    return segments[0] + bytes([segments[1][0] ^ 1]) + segments[1][1:] + segments[2]


WHOLE: Callable[[list[bytes]], bytes] = b"".join
REFUSED: dict[str, tuple[Callable[[list[bytes]], bytes], dict[str, Any], str]] = {
    "segments swapped": (_swapped, MESSAGE, "file-altered"),
    "one bit": (_one_bit, MESSAGE, "file-altered"),
    "cut": (lambda segments: b"".join(segments)[:-1], MESSAGE, "file-altered"),
    "another key": (WHOLE, with_changed(key="A" * 43), "file-key-mismatch"),
    "another length": (WHOLE, with_changed(size_bytes=2 * MIB + 6), "file-length-mismatch"),
    "another SHA-256": (WHOLE, with_changed(sha256="0" * 64), "file-hash-mismatch"),
    "another MD5": (WHOLE, with_changed(md5="0" * 32), "file-hash-mismatch"),
}


@pytest.mark.parametrize(("harm", "message", "code"), REFUSED.values(), ids=REFUSED)
def test_another_implementation_refuses_what_ours_refuses(
    harm: Callable[[list[bytes]], bytes], message: dict[str, Any], code: str, tmp_path: Path
) -> None:
    _, segments, _ = maker.sealed("segments")
    given, error = opened(tmp_path, harm(segments), message)
    assert code in error
    assert len(given) < 2 * MIB + 7  # never the whole of what failed
