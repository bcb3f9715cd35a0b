"""Files of a message in its bag: Comity and the stand-alone program say the same of each, whoever altered what."""

from __future__ import annotations

import argparse
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exchange.evidence._bag_files import LIST, check_files, payload_of, whole_name
from exchange.evidence.disclosure import Disclosure
from exchange.verifiers import verify_bag as program
from protocol.encoding import cbor
from protocol.encoding.padme import padded_size
from protocol.files import chunked
from protocol.files.file_list import FileList, FileSet
from protocol.files.logged import LoggedFiles, agrees, one_file, some_files, whole_set
from protocol.files.sealed_file import DEFAULT_SEGMENT_BYTES, SealedFile, segment_hash
from protocol.log.frontier import Frontier
from tests.worlds.altered import one_bit_off

SALT = bytes(24)


def sealed(plain: bytes, key: bytes, *, padding: bytes | None = None) -> tuple[SealedFile, bytes]:
    """A sealed file, padded with zeros or by ``padding``."""
    padded = plain + (bytes(padded_size(len(plain)) - len(plain)) if padding is None else padding)
    sealer = chunked.ChunkSealer(key, SALT, DEFAULT_SEGMENT_BYTES)
    parts = [*sealer.update(padded), *sealer.finish()]
    root = Frontier().extended(map(segment_hash, parts)).root()
    whole = b"".join(map(bytes, parts))
    return SealedFile(1, DEFAULT_SEGMENT_BYTES, len(whole), root), whole


@dataclass
class Case:
    """One message with two files, as a forger may alter it."""

    plain: list[bytes] = field(default_factory=lambda: [b"an order of one page", b"Z" * 2_500_000])
    key: list[bytes] = field(default_factory=lambda: [b"a" * 32, b"b" * 32])
    files: list[SealedFile] = field(default_factory=list)
    whole: list[bytes] = field(default_factory=list)
    stated: list[dict[str, Any]] = field(default_factory=list)
    bag: dict[str, bytes] = field(default_factory=dict)
    file_set: FileSet | None = None
    beside: list[Path] = field(default_factory=list)
    disclosed: bool = True

    def __post_init__(self) -> None:
        for plain, key in zip(self.plain, self.key, strict=True):
            self.put(plain, key)
        self.make()

    def put(
        self, plain: bytes, key: bytes, *, padding: bytes | None = None, says: dict[str, Any] | None = None
    ) -> None:
        file, whole = sealed(plain, key, padding=padding)
        self.files.append(file)
        self.whole.append(whole)
        self.stated.append(
            {
                "name": f"{len(self.files)}.bin",
                "size_bytes": len(plain),
                "sha256": sha256(plain).hexdigest(),
                "sealed": {
                    "name": file.name.hex(),
                    "key": urlsafe_b64encode(key).rstrip(b"=").decode(),
                    "suite": 1,
                    "segment_bytes": file.segment_bytes,
                    "length": file.length,
                    "root": file.root.hex(),
                },
                **(says or {}),
            }
        )

    def make(self) -> None:
        files = FileList.of(self.files)
        self.file_set = files.file_set
        whole = {file.name: content for file, content in zip(self.files, self.whole, strict=True)}
        self.bag = payload_of(files, whole)

    def place(self, number: int) -> str:
        return whole_name(self.files[number].name)

    def verdicts(self) -> list[tuple[str, bool | None]]:
        """What Comity says; the program must say the same."""
        content = json.dumps({"attachments": self.stated}).encode()
        opened = Disclosure(None, b"", b"", content) if self.disclosed else None  # type: ignore[arg-type]
        envelope: Any = SimpleNamespace(routing=SimpleNamespace(file_set=self.file_set))
        found = list(check_files(self.bag, envelope, opened, self.beside))
        lines = self._program(content)
        assert [(name, holds) for name, holds, _ in lines] == [(check.name, check.ok) for check in found]
        for (_, holds, text), check in zip(lines, found, strict=True):
            assert holds is not False or text.startswith("THE SENDER") == (check.detail or "").startswith("THE SENDER")
        return [(check.name, check.ok) for check in found]

    def _program(self, content: bytes) -> list[program.Line]:
        files = {"data/envelope.cose": b"", **self.bag}
        if self.disclosed:
            files |= {"data/content.json": content}
        bag = program.Bag("bag", files, argparse.Namespace(files=self.beside))
        set_ = self.file_set
        bag.file_set = None if set_ is None else [set_.digest, set_.count, set_.total_bytes]
        lines = list[program.Line]()
        bag.check_files(lines)
        return lines


def results(case: Case) -> list[bool | None]:
    return [ok for _, ok in case.verdicts()]


def of(case: Case, number: int) -> bool | None:
    """What is said of one file."""
    return dict(case.verdicts())[f"file {case.files[number].name.hex()[:16]}"]


def test_whole_files_hold_against_the_message() -> None:
    assert results(Case()) == [True, True, True]


def test_without_the_content_a_sealed_file_is_named_and_not_opened() -> None:
    case = Case(disclosed=False)
    assert results(case) == [True, None, None]
    case.bag[case.place(0)] = one_bit_off(case.bag[case.place(0)])
    assert of(case, 0) is False


@pytest.mark.parametrize("opened", [True, False])
def test_files_by_reference_are_not_checked_and_hold_when_they_are_given_beside(tmp_path: Path, opened: bool) -> None:
    case = Case()
    for number in (0, 1):
        del case.bag[case.place(number)]
    assert results(case) == [True, None, None]
    for number, content in enumerate(case.plain if opened else case.whole):
        path = tmp_path / f"given-{number}"
        path.write_bytes(content)
        case.beside.append(path)
    assert results(case) == [True, True, True]
    case.beside[0].write_bytes(b"An order of one page" if opened else one_bit_off(case.whole[0]))
    assert of(case, 0) is None
    assert of(case, 1) is True


def _no_list(case: Case) -> None:
    del case.bag[LIST]


def _other_list(case: Case) -> None:
    case.bag[LIST] = cbor.encode([[1, 2**20, case.files[0].length, case.files[0].root]])


def _list_out_of_order(case: Case) -> None:
    case.bag[LIST] = cbor.encode(list(reversed(cbor.decode(case.bag[LIST]))))


def _no_set(case: Case) -> None:
    case.file_set = None


def _other_total(case: Case) -> None:
    assert case.file_set is not None
    case.file_set = FileSet(case.file_set.digest, 2, case.file_set.total_bytes + 1)


def _stranger(case: Case) -> None:
    case.bag[whole_name(bytes(32))] = b"x"


def _unnamed_inside(case: Case) -> None:
    case.stated.pop()


def _other_name_inside(case: Case) -> None:
    case.stated[0]["sealed"]["name"] = case.files[1].name.hex()


def _twice_inside(case: Case) -> None:
    case.stated.append(dict(case.stated[0]))


@pytest.mark.parametrize(
    "forge",
    [
        _no_list,
        _other_list,
        _list_out_of_order,
        _no_set,
        _other_total,
        _stranger,
        _unnamed_inside,
        _other_name_inside,
        _twice_inside,
    ],
)
def test_files_that_are_not_those_of_the_envelope_fail_as_a_whole(forge: Callable[[Case], None]) -> None:
    case = Case()
    forge(case)
    assert results(case) == [False]


@pytest.mark.parametrize(
    "alter",
    [
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: one_bit_off(whole, 0),
        lambda whole: whole[: 2**20] + whole[2**20 : 2**20 + 1] + whole[2**20 :],
        lambda whole: whole[2**20 : 2**21] + whole[: 2**20] + whole[2**21 :],
        lambda whole: b"",
    ],
)
def test_a_sealed_file_that_was_altered_in_the_bag_accuses_nobody(alter: Callable[[bytes], bytes]) -> None:
    case = Case()
    case.bag[case.place(1)] = alter(case.whole[1])
    assert of(case, 1) is False
    assert of(case, 0) is True


@pytest.mark.parametrize(
    ("plain", "key", "padding", "says"),
    [
        (b"x" * 100, b"c" * 32, None, {"sha256": sha256(b"y" * 100).hexdigest()}),
        (b"x" * 100, b"c" * 32, None, {"size_bytes": 99}),
        (b"x" * 100, b"c" * 32, None, {"size_bytes": 101}),
        (b"x" * 100, b"c" * 32, bytes(411) + b"!", {}),
        (b"x" * 100, b"c" * 32, bytes(924), {}),
    ],
)
def test_a_sender_that_sealed_another_file_than_it_signed_is_shown_to_have(
    plain: bytes, key: bytes, padding: bytes | None, says: dict[str, Any]
) -> None:
    case = Case()
    case.put(plain, key, padding=padding, says=says)
    case.make()
    assert of(case, 2) is False
    assert of(case, 0) is True


def test_a_sender_that_sealed_under_another_key_is_shown_to_have() -> None:
    case = Case()
    case.stated[0]["sealed"]["key"] = urlsafe_b64encode(b"z" * 32).rstrip(b"=").decode()
    assert of(case, 0) is False
    case.stated[0]["sealed"]["key"] = "short"
    assert of(case, 0) is False


def _altered_ciphertext(case: Case) -> None:
    case.bag[case.place(0)] = one_bit_off(case.whole[0])


def _other_key(case: Case) -> None:
    case.stated[0]["sealed"]["key"] = urlsafe_b64encode(b"z" * 32).rstrip(b"=").decode()


def _other_hash(case: Case) -> None:
    case.stated[0]["sha256"] = sha256(b"another file").hexdigest()


def _other_size(case: Case) -> None:
    case.stated[0]["size_bytes"] += 1


def _behind_the_end(case: Case) -> None:
    plain, key = b"x" * 100, b"c" * 32
    case.put(plain, key, padding=bytes(411) + b"!")
    case.make()


# By the rule that each breaks: also the vectors for other implementations.
FORGERIES: dict[str, Callable[[Case], None]] = {
    "the list of the files is in the bag": _no_list,
    "the list is the one that the header commits to": _other_list,
    "the list is in the order of names": _list_out_of_order,
    "a bag holds files only where the header commits to some": _no_set,
    "the header counts the bytes of its list": _other_total,
    "a bag holds no file that is not in the list": _stranger,
    "the content names every file of the list": _unnamed_inside,
    "a sealed file has the name that its parts make": _other_name_inside,
    "the content names each file once": _twice_inside,
    "a sealed file is the one that its name stands for": _altered_ciphertext,
    "the key is the one that the file commits to": _other_key,
    "a file has the SHA-256 that the content states": _other_hash,
    "a file has the length that the content states": _other_size,
    "only zeros stand behind the end of a file": _behind_the_end,
}


@pytest.mark.parametrize("rule", FORGERIES)
def test_each_rule_of_files_fails_at_both_verifiers(rule: str) -> None:
    case = Case()
    FORGERIES[rule](case)
    assert False in results(case)


def test_an_entry_that_gives_files_another_root_than_the_list_in_the_bag_counts_at_neither_verifier() -> None:
    case = Case()
    files = FileList.of(case.files)
    bag = program.Bag("bag", {"data/envelope.cose": b"", **case.bag}, argparse.Namespace())
    bag.file_set = [files.file_set.digest, files.file_set.count, files.file_set.total_bytes]
    listed, name = files.file_set.digest, files.names[0]
    some = some_files(files, [name])
    for said, fits in (
        (whole_set(files), True),
        (one_file(files, files.files[0]), True),
        (some, True),
        (LoggedFiles(listed, None, 2, some.root), False),
        (LoggedFiles(listed, None, 3, some.root), False),
        (LoggedFiles(listed, name, 1, files.files[1].root), False),
        (LoggedFiles(listed, bytes(32), 1, files.files[0].root), False),
    ):
        assert agrees(said, files) is fits
        assert bag.agrees(said.name, said.count, said.root) is fits
    bag = program.Bag("bag", {"data/envelope.cose": b""}, argparse.Namespace())
    assert bag.agrees(None, 2, some.root), "without the list nobody can know"


def test_the_vectors_of_files_in_bags_are_current() -> None:
    from tests.vectors import make_bag_files_vectors as made

    assert json.loads(made.TARGET.read_text()) == json.loads(json.dumps(made.vectors()))


def test_a_message_without_files_has_no_line_of_files() -> None:
    case = Case()
    case.bag, case.file_set = {}, None
    assert results(case) == []
