"""Another implementation verifies our signed objects: python-cwt, in a virtual environment of its own.

python-cwt 3.3 knows the fully specified algorithm -19 (RFC 9864), so it verifies our COSE_Sign1 as it stands, through
its public interface: tag, protected header, key id, algorithm, external_aad and signature. It checks
Ed25519 with OpenSSL (through cryptography), we with libsodium. What is inside an envelope, a COSE_Encrypt with
private-use numbers, it does not open; the Node tests do.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding.ids import new_message_id
from protocol.envelope import ENVELOPE_CONTEXT, SEALED_TYPE, parse_envelope, seal
from protocol.event import EventName
from protocol.routing import Priority, Routing
from protocol.statement import STATEMENT_CONTEXT, STATEMENT_TYPE, DeskStatement, sign_statement
from tests.conftest import require
from tests.worlds.patience import WITHIN_S

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".cache" / "interop" / "cwt" / "bin" / "python"
SCRIPT = Path(__file__).with_name("cwt_verify.py")
SEED = b"\x01" * 32
SIGNER = Ed25519Signer(SEED)
OTHER = Ed25519Signer(b"\x02" * 32)
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


class CwtRefusedError(Exception):
    """python-cwt did not verify the object; the text is what it said."""


def run_cwt(data: bytes, context: bytes, key: Ed25519Signer = SIGNER, **more: Any) -> dict[str, Any]:
    require(PYTHON.exists(), "python-cwt in .cache/interop/cwt")
    asked = {"object": data.hex(), "key": key.public_key.hex(), "kid": key.kid.hex(), "context": context.hex(), **more}
    run = subprocess.run(
        [str(PYTHON), "-I", str(SCRIPT)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if run.returncode != 0:
        raise CwtRefusedError(run.stderr)
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def an_envelope() -> bytes:
    recipient = Address.parse("24-7@jp")
    routing = Routing(
        id=new_message_id(NOW, bytes(10)),
        sender=Address.parse("24-7@fr"),
        recipients=(recipient,),
        created=NOW,
        expires=NOW + timedelta(days=90),
        priority=Priority.URGENT,
        ack_by=None,
        commitment=bytes(32),
    )
    return seal(b"content", routing, SIGNER, {recipient: SealingKey(HybridOpener(bytes(32)).public_key)}, os.urandom)


def a_statement() -> bytes:
    statement = DeskStatement(
        EventName.ContentHandover, new_message_id(NOW, bytes(10)), bytes(32), Address.parse("24-7@jp"), NOW
    )
    return sign_statement(statement, SIGNER)


SIGNED = [
    pytest.param(an_envelope, SEALED_TYPE, ENVELOPE_CONTEXT, id="envelope"),
    pytest.param(a_statement, STATEMENT_TYPE, STATEMENT_CONTEXT, id="statement"),
]


@pytest.mark.parametrize(("make", "content_type", "context"), SIGNED)
def test_cwt_verifies_what_we_signed_and_reads_the_same_headers(
    make: Callable[[], bytes], content_type: str, context: bytes
) -> None:
    data = make()
    ours = cose.parse_sign1(data, content_type, max_bytes=1 << 18)

    answer = run_cwt(data, context)

    assert answer["protected"] == {"1": -19, "3": content_type, "4": SIGNER.kid.hex()}
    assert answer["unprotected"] == {}
    assert bytes.fromhex(answer["payload"]) == ours.payload


@pytest.mark.parametrize(("make", "content_type", "context"), SIGNED)
def test_cwt_refuses_what_we_signed_with_payload_or_signature_altered(
    make: Callable[[], bytes], content_type: str, context: bytes
) -> None:
    data = make()
    ours = cose.parse_sign1(data, content_type, max_bytes=1 << 18)

    for part in (ours.payload, ours.signature):
        altered = bytearray(data)
        altered[data.index(part) + len(part) // 2] ^= 1
        with pytest.raises(CwtRefusedError, match="Failed to verify"):
            run_cwt(bytes(altered), context)


def test_cwt_refuses_what_we_signed_in_another_context() -> None:
    with pytest.raises(CwtRefusedError, match="Failed to verify"):
        run_cwt(a_statement(), ENVELOPE_CONTEXT)


def test_cwt_refuses_what_we_signed_under_another_key() -> None:
    with pytest.raises(CwtRefusedError):
        run_cwt(a_statement(), STATEMENT_CONTEXT, OTHER)


def test_we_verify_what_cwt_signed() -> None:
    payload = parse_envelope(an_envelope()).signed.payload
    wanted = {"payload": payload.hex(), "seed": SEED.hex(), "content_type": SEALED_TYPE}

    made = bytes.fromhex(run_cwt(an_envelope(), ENVELOPE_CONTEXT, sign=wanted)["signed"])

    signed = cose.parse_sign1(made, SEALED_TYPE, max_bytes=1 << 18)
    cose.verify_sign1(signed, ENVELOPE_CONTEXT, Ed25519Verifier(SIGNER.public_key))
    # Ed25519 and the encoding are deterministic, so both make the very same bytes.
    assert made == cose.sign1(payload, SEALED_TYPE, ENVELOPE_CONTEXT, SIGNER)
