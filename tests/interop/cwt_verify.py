"""Runs under python-cwt's own interpreter: verify one COSE_Sign1 and, if it is asked, make one.

In: JSON {object, key, kid, context, sign: {payload, seed, content_type}?}, byte strings as hex. Out: JSON
{protected, unprotected, payload, signed?} of the verified object. An object that does not verify ends it with an error.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cwt import COSE, COSEKey
from cwt.enums import COSEAlgs

# RFC 9053 §7: key type OKP, curve Ed25519.
_OKP, _ED25519_CURVE = 1, 6


def _key(kid: bytes, operation: int, parameters: dict[int, Any]) -> Any:
    return COSEKey.new({1: _OKP, 2: kid, 3: int(COSEAlgs.ED25519), 4: [operation], -1: _ED25519_CURVE, **parameters})


def _plain(header: dict[Any, Any]) -> dict[str, Any]:
    return {str(label): value.hex() if isinstance(value, bytes) else value for label, value in header.items()}


def main() -> None:
    asked = json.load(sys.stdin)
    kid, public_key, context = (bytes.fromhex(asked[name]) for name in ("kid", "key", "context"))
    verifying = _key(kid, 2, {-2: public_key})
    cose = COSE.new(verify_kid=True)
    protected, unprotected, payload = cose.decode_with_headers(
        bytes.fromhex(asked["object"]), verifying, external_aad=context
    )
    answer: dict[str, Any] = {
        "protected": _plain(protected),
        "unprotected": _plain(unprotected),
        "payload": payload.hex(),
    }
    if "sign" in asked:
        wanted = asked["sign"]
        signing = _key(kid, 1, {-2: public_key, -4: bytes.fromhex(wanted["seed"])})
        made = cose.encode_and_sign(
            bytes.fromhex(wanted["payload"]),
            signing,
            protected={1: int(COSEAlgs.ED25519), 3: wanted["content_type"], 4: kid},
            external_aad=context,
        )
        answer["signed"] = made.hex()
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
