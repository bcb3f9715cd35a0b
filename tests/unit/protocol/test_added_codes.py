"""Code lists that a nation adds: what is taken, and every rule that refuses, each alone and with its own words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from protocol.codes import MAX_LOCAL_CODE, is_local_code
from protocol.codes._added import (
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_FILE_ITEMS,
    MAX_FILES,
    load_added_codes,
    read_added_codes,
)
from protocol.codes.loader import load_codes
from protocol.errors import InvalidCodeListError, NotFoundError

BASE = "refusal_ground"
ENTRY = {"code": "x-kr-minor", "label": "A minor"}
VALID: Mapping[str, Any] = {
    "name": "x-kr-refusal_ground",
    "version": "1",
    "source": "Act 1",
    "confidence": "verified",
    "extends": BASE,
    "entries": [ENTRY],
}
ABSENT = object()
# Nothing to read, more than one line, something that hides or reorders text, too long, no text.
WRONG_TEXTS = (ABSENT, None, 1, "", " ", "a\nb", "a\u202eb", "a" * 201)


def written(**fields: Any) -> bytes:
    """A valid file but for these fields."""
    return json.dumps({key: value for key, value in {**VALID, **fields}.items() if value is not ABSENT}).encode()


def refused(content: bytes) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(InvalidCodeListError) as caught:
        read_added_codes({"one.json": content})
    assert {file for file, _ in caught.value.problems} == {"one.json"}
    return [text for _, text in caught.value.problems]


def test_an_added_code_stands_beside_the_published_ones():
    added = read_added_codes({"one.json": written(), "two.json": written(name="x-kr-desk", extends=ABSENT)})
    assert [entry.code for entry in added.entries(BASE)][-1] == "x-kr-minor"
    assert added.label(BASE, "x-kr-minor") == "A minor"
    assert added.label(BASE, load_codes(BASE).entries[0].code) == load_codes(BASE).entries[0].label
    assert added.label(BASE, "x-fr-other") == "x-fr-other"
    assert [entry.code for entry in added.entries("x-kr-desk")] == ["x-kr-minor"]
    assert set(added.lists) == {"x-kr-refusal_ground", "x-kr-desk"}


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"more": 1}, "only these fields are known"),
        *(({field: value}, f"{field}: write one line") for field in ("version", "source") for value in WRONG_TEXTS),
        ({"confidence": "certain"}, "confidence: write one of"),
        ({"confidence": ABSENT}, "confidence: write one of"),
        *(({"name": name}, "name: write x-") for name in (ABSENT, 1, "refusal", "x-kr", "x-k-a", "X-KR-a", "x-kr-a\n")),
        ({"extends": "no-such-list"}, "no such published list"),
        ({"extends": 1}, "no such published list"),
        ({"extends": None}, "no such published list"),
        ({"extends": [BASE]}, "no such published list"),
        ({"extends": {}}, "no such published list"),
        ({"extends": "tlp"}, "this list is closed"),
        ({"entries": ABSENT}, "write a list of 1 to"),
        ({"entries": []}, "write a list of 1 to"),
        ({"entries": {"0": ENTRY}}, "write a list of 1 to"),
        ({"entries": [{"code": f"x-kr-{n}", "label": "a"} for n in range(MAX_ENTRIES + 1)]}, "write a list of 1 to"),
        ({"entries": ["x-kr-minor"]}, "an entry has a code, a label"),
        ({"entries": [{**ENTRY, "more": 1}]}, "an entry has a code, a label"),
        *(
            ({"entries": [{**ENTRY, "code": code}]}, "a code begins with x-kr-")
            for code in (None, 1, "minor", "x-fr-minor", "x-kr-", f"x-kr-{'a' * (MAX_LOCAL_CODE - 4)}")
        ),
        ({"entries": [ENTRY, ENTRY]}, "this code is there twice"),
        ({"entries": [{"code": "x-kr-minor"}]}, "label: write one line"),
        *(({"entries": [{**ENTRY, "label": text}]}, "label: write one line") for text in WRONG_TEXTS[1:]),
        ({"entries": [{**ENTRY, "confidence": "certain"}]}, "entries.0.confidence: write one of"),
    ],
)
def test_a_file_that_breaks_one_rule_is_refused_with_that_rule_alone(fields: dict[str, Any], cause: str):
    problems = refused(written(**fields))
    assert len(problems) == 1
    assert cause in problems[0]


def test_a_file_at_the_edge_of_its_rules_is_taken():
    longest = f"x-kr-{'a' * (MAX_LOCAL_CODE - 5)}"
    assert is_local_code(longest)
    assert not is_local_code(longest + "a")
    many = [{"code": f"x-kr-{n}", "label": "a"} for n in range(MAX_ENTRIES - 1)]
    entries = [*many, {"code": longest, "label": "a" * 200, "confidence": "second-hand"}]
    added = read_added_codes({"one.json": written(entries=entries, source="s" * 200)})
    assert len(added.lists["x-kr-refusal_ground"].entries) == MAX_ENTRIES
    exact = written() + b" " * (MAX_FILE_BYTES - len(written()))
    assert read_added_codes({"one.json": exact}).lists


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"x"',
        b"\xff",
        b"[" * 9999,
        b'{"name": 1, "name": 2}',
        written() + b" " * (MAX_FILE_BYTES - len(written()) + 1),
        # The last member of all counts: without the limit this would be read, and refused for its entries alone.
        written(entries=[0] * (MAX_FILE_ITEMS + 1)),
    ],
)
def test_what_is_no_json_object_or_too_large_is_refused_as_that(content: bytes):
    assert refused(content) == ["this is not a JSON object, or it is too large"]


def test_two_files_neither_share_a_name_nor_add_the_same_code():
    other = written(name="x-kr-other")
    apart = written(name="x-kr-other", entries=[{"code": "x-kr-adult", "label": "An adult"}])
    assert read_added_codes({"one.json": written(), "two.json": apart}).label(BASE, "x-kr-adult") == "An adult"
    with pytest.raises(InvalidCodeListError) as caught:
        read_added_codes({"one.json": written(), "two.json": other})
    assert caught.value.problems == (("two.json", "another file adds one of these codes to the same list"),)
    own = written(extends=ABSENT)
    with pytest.raises(InvalidCodeListError) as caught:
        read_added_codes({"one.json": own, "two.json": own})
    assert caught.value.problems == (("two.json", "another file has a list of this name"),)


def test_every_problem_of_every_file_is_said_at_once():
    with pytest.raises(InvalidCodeListError, match="have 3 problems") as caught:
        read_added_codes({"a.json": b"", "b.json": written(version="", source=None), "c.json": written()})
    assert [file for file, _ in caught.value.problems] == ["a.json", "b.json", "b.json"]


def test_a_folder_is_read_whole_up_to_its_limit(tmp_path: Path):
    assert not load_added_codes(tmp_path / "none").lists
    for number in range(MAX_FILES):
        content = written(name=f"x-kr-{number}", extends=ABSENT)
        (tmp_path / f"{number}.json").write_bytes(content)
    (tmp_path / "notes.txt").write_text("not a list")
    (tmp_path / "folder.json").mkdir()
    assert len(load_added_codes(tmp_path).lists) == MAX_FILES
    (tmp_path / "more.json").write_bytes(written(name="x-kr-more", extends=ABSENT))
    with pytest.raises(InvalidCodeListError) as caught:
        load_added_codes(tmp_path)
    assert caught.value.problems == ((tmp_path.name, f"there are more than {MAX_FILES} files"),)


def test_what_is_in_no_list_is_refused_as_that():
    for name in ("no-such-list", "../codes/tlp", "tlp.json", ""):
        with pytest.raises(NotFoundError, match="no such code list"):
            load_codes(name)
    with pytest.raises(NotFoundError, match="the code list tlp has no such code"):
        load_codes("tlp")["BLUE"]
