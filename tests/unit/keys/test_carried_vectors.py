"""The published vectors of carried files say what an export writes, and what a reader refuses."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from keys.local.carried.folder import CarriedFolder
from protocol.bundle import Hand, decode_hands, parse_hand, verify_hand
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.errors import ComityError, FileUnknownError
from protocol.files.file_list import decode_list
from protocol.files.sealed_file import verify_segment
from protocol.http.files import decode_segments
from tests.vectors import make_carried_vectors as maker

ALL: dict[str, Any] = json.loads(Path(maker.__file__).with_name("carried.json").read_text("utf-8"))
VERIFIER = Ed25519Verifier(Ed25519Signer(bytes.fromhex(ALL["signing_seed"])).public_key)
EARLIER = Ed25519Verifier(Ed25519Signer(bytes.fromhex(ALL["earlier_seed"])).public_key)
MESSAGE = bytes.fromhex(ALL["message"])


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def judge_hand(raw: bytes, verifier: Ed25519Verifier = VERIFIER) -> Hand:
    hand = parse_hand(raw)
    verify_hand(hand, verifier)
    return hand


def judge_pack(raw: bytes) -> None:
    files = maker.FILES.files
    for sent in decode_segments(raw):
        if sent.file >= len(files) or sent.segment.index >= files[sent.file].segments:
            raise FileUnknownError("the list has no such segment")
        verify_segment(files[sent.file], sent.segment)


def test_the_vectors_are_what_an_export_writes() -> None:
    assert maker.vectors() == ALL


def test_a_folder_of_the_vectors_reads_as_its_files_and_its_hands(tmp_path: Path) -> None:
    maker.write_folder(tmp_path)
    for file in ALL["folder"]:
        content = (tmp_path / file["path"]).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (file["length"], file["sha256"])
        assert content.hex() == file.get("content", content.hex())
    folder = CarriedFolder(tmp_path)
    assert folder.messages() == [MESSAGE]
    files = decode_list(folder.file_list(MESSAGE))
    for number, name in enumerate(ALL["files"]):
        read = [
            sent.segment
            for block in folder.blocks(MESSAGE, number)
            for pack in folder.packs(MESSAGE, number, block)
            for sent in folder.read_pack(MESSAGE, number, pack)
        ]
        for segment in read:
            verify_segment(files.files[number], segment)
        assert [bytes(segment.data) for segment in read] == maker.sealed(name)[1]
    hands = [judge_hand(raw, key) for raw, key in zip(folder.hands(MESSAGE), (EARLIER, VERIFIER), strict=True)]
    assert [(hand.sender, hand.recipient, hand.signed.kid) for hand in hands] == [
        (said["from"], said["to"], key.kid) for said, key in zip(ALL["hands"], (EARLIER, VERIFIER), strict=True)
    ]


@pytest.mark.parametrize("vector", ALL["names"], ids=lambda vector: str(vector["path"])[-20:])
def test_a_name_that_no_export_writes_is_passed_over(vector: dict[str, Any], tmp_path: Path) -> None:
    path, kind = tmp_path / vector["path"], vector["is"]
    place = path.relative_to(tmp_path).parts
    pack = len(place) > 3
    (path.parent if pack else path).mkdir(parents=True)
    if pack:
        path.write_bytes(b"x")
    folder = CarriedFolder(tmp_path)
    seen: dict[int, Any] = {1: folder.messages}
    if len(place) > 1:
        seen[3] = lambda: folder.blocks(MESSAGE, int(place[1]))
        seen[4] = lambda: folder.packs(MESSAGE, int(place[1]), int(place[2]))
    assert bool(seen[len(place)]()) == (kind is not None)


@pytest.mark.parametrize("vector", ALL["refused"]["hands"], ids=named)
def test_a_hand_of_the_vectors_that_breaks_a_rule_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ComityError) as refused:
        judge_hand(bytes.fromhex(vector["hand"]))
    assert refused.value.code == vector["error"]


def test_a_hand_about_other_files_or_for_another_reader_is_seen_to_be_so() -> None:
    hands = [judge_hand(bytes.fromhex(vector["hand"])) for vector in ALL["of_others"]]
    assert [(hand.digest == MESSAGE, hand.recipient == "fr") for hand in hands] == [(False, True), (True, False)]


@pytest.mark.parametrize("vector", ALL["refused"]["chains"], ids=named)
def test_a_chain_of_hands_that_breaks_a_rule_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ComityError) as refused:
        decode_hands(bytes.fromhex(vector["hands"]))
    assert refused.value.code == vector["error"]


@pytest.mark.parametrize("vector", ALL["refused"]["packs"], ids=named)
def test_a_pack_of_the_vectors_that_breaks_a_rule_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ComityError) as refused:
        judge_pack(bytes.fromhex(vector["pack"]))
    assert refused.value.code == vector["error"]
