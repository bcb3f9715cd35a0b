"""The validator of the CASE community judges the custody that Comity writes, by the shapes of CASE 1.4."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exchange.custody.case_uco import case_document
from exchange.custody.chain import custody_of
from tests.conftest import require
from tests.unit.exchange.test_custody_chain import NOW, an_answer, the_file

VALIDATE = Path(__file__).parents[2] / ".cache" / "interop" / "case" / "bin" / "case_validate"

pytestmark = pytest.mark.outside


def judged(document: dict[str, Any], path: Path) -> tuple[bool, str]:
    require(VALIDATE.exists(), "CASE's validator in .cache/interop/case")
    file = path / "case.jsonld"
    file.write_text(json.dumps(document))
    command = [str(VALIDATE), "--built-version", "case-1.4.0", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode == 0 and "Conforms: True" in done.stdout, done.stdout


def test_the_validator_of_case_accepts_the_custody_of_files_and_misses_what_is_taken_out(tmp_path: Path) -> None:
    known = an_answer()
    custodies = [custody_of(the_file(known, name), known) for name in ("mail.pst", "index.csv")]
    document = json.loads(case_document(custodies, NOW, version="1"))
    holds, said = judged(document, tmp_path)
    assert holds, said
    hashes = [
        found
        for one in document["uco-core:object"]
        for facet in one.get("uco-core:hasFacet", ())
        for found in facet.get("uco-observable:hash", ())
    ]
    hashes[0]["uco-types:hashValue"] = "not hexadecimal"
    broken, said = judged(document, tmp_path)
    assert not broken, said
