"""Another implementation of ML-DSA-44 verifies our checkpoints and cosignatures: @noble/post-quantum, in Node."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.merkle import EMPTY_ROOT
from protocol.log.note import NoteSignature
from protocol.log.witness import SoftWitnessSigner, cosign, with_lines
from tests.interop.node_program import NodeRefusedError, run_node

LOG = SoftLogSigner("node.example/log/jp", b"\x11" * 32, b"\x22" * 32)
WITNESSES = [
    SoftWitnessSigner(f"node.example/witness/{node}", bytes([n]) * 32, bytes([n]) * 32)
    for n, node in ((1, "fr"), (2, "de"))
]
KEYS = [signer.verifier.vkeys[1] for signer in (LOG, *WITNESSES)]
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def lines(checkpoint: Checkpoint) -> list[NoteSignature]:
    return [line for witness in WITNESSES for line in cosign(checkpoint, witness, AT)]


@pytest.mark.parametrize("size", [0, 1, 300, (1 << 53) + 1])
def test_noble_verifies_the_lines_of_a_log_and_its_witnesses(size: int) -> None:
    checkpoint = Checkpoint(LOG.origin, size, b"\x05" * 32 if size else EMPTY_ROOT)
    note = with_lines(sign_checkpoint(checkpoint, LOG, AT), lines(checkpoint))

    told = run_node("cosignatures.mjs", note=note.decode(), vkeys=KEYS)

    assert told == dict.fromkeys((key.partition("+")[0] for key in KEYS), int(AT.timestamp()))


@pytest.mark.parametrize("octet", [4, 11, 12, -1], ids=["time", "end of time", "signature", "end of signature"])
def test_noble_refuses_a_line_with_one_bit_altered(octet: int) -> None:
    checkpoint = Checkpoint(LOG.origin, 7, b"\x05" * 32)
    signed = lines(checkpoint)
    packed = bytearray(bytes(4) + signed[1].signature)
    packed[octet] ^= 1
    signed[1] = replace(signed[1], signature=bytes(packed[4:]))
    note = with_lines(sign_checkpoint(checkpoint, LOG, AT), signed)

    with pytest.raises(NodeRefusedError, match="witness/fr: the signature is not valid"):
        run_node("cosignatures.mjs", note=note.decode(), vkeys=KEYS)
