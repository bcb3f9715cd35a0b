"""Key ids: 16 bytes that name one public key of one algorithm.

``SHA-256("comity/v1/key-id" 0x00 algorithm 0x00 public key)``, first 16 bytes. A key id is only ever looked up together
with its holder's address: it is a name, not an authority.
"""

from __future__ import annotations

from hashlib import sha256

KID_BYTES = 16

ED25519 = "ed25519"
MLKEM768_X25519 = "mlkem768-x25519"


def key_id(algorithm: str, public_key: bytes) -> bytes:
    """The id of ``public_key`` under ``algorithm`` (one of the names above)."""
    return sha256(b"comity/v1/key-id\0" + algorithm.encode("ascii") + b"\0" + public_key).digest()[:KID_BYTES]


def ed25519_kid(public_key: bytes) -> bytes:
    """The id of an Ed25519 key of 32 bytes."""
    return key_id(ED25519, public_key)


def seal_kid(public_key: bytes) -> bytes:
    """The id of a hybrid sealing key of 1,216 bytes."""
    return key_id(MLKEM768_X25519, public_key)
