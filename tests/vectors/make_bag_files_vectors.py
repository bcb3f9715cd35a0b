"""Writes ``bag-files.json``: what a verifier says of the evidence files of a bag (docs/evidence-bag.md, 7).

Run as ``python -m tests.vectors.make_bag_files_vectors``. Keys and salts are made up for it, and no signature is in it:
the same program writes the same file.
"""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.unit.exchange.test_evidence_bag_files import FORGERIES, Case

TARGET = Path(__file__).with_name("bag-files.json")
PLAIN = [b"an order of one page", bytes(range(256)) * 3]


def vectors() -> dict[str, Any]:
    """All cases: those that hold, and one for each rule that is broken."""
    cases = [_case("whole files hold against the message", Case(list(PLAIN)))]
    cases.append(_case("without the content a sealed file is named and not opened", Case(list(PLAIN), disclosed=False)))
    reference = Case(list(PLAIN))
    for number in (0, 1):
        del reference.bag[reference.place(number)]
    cases.append(_case("files by reference are not checked", reference))
    for rule, forge in FORGERIES.items():
        forged = Case(list(PLAIN))
        forge(forged)
        cases.append(_case(rule, forged))
    return {"cases": cases}


def _case(rule: str, case: Case) -> dict[str, Any]:
    file_set = case.file_set
    return {
        "rule": rule,
        "file_set": None if file_set is None else [file_set.digest.hex(), file_set.count, file_set.total_bytes],
        "attachments": case.stated if case.disclosed else None,
        "files": {name: b64encode(content).decode() for name, content in sorted(case.bag.items())},
        "verdicts": [list(verdict) for verdict in case.verdicts()],
    }


def main() -> None:
    """Write the file."""
    TARGET.write_text(json.dumps(vectors(), indent=1) + "\n")


if __name__ == "__main__":
    main()
