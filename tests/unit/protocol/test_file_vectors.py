"""The published vectors of files say what the code does, and the code does what the vectors of others say."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import ComityError
from protocol.event import decode_event
from protocol.files.chunked import ChunkOpener, ChunkSealer
from protocol.files.file_list import check_list, decode_list
from protocol.files.logged import check_logged, whole_set
from protocol.files.opening import FileOpener, open_file
from protocol.files.sealed_file import Segment, segment_hash, verify_segment
from protocol.messages.schema.base import Attachment, SealedAttachment
from protocol.receipt import statement_of
from protocol.routing import decode_routing, encode_routing
from tests.vectors import make_file_vectors as maker

FOLDER = Path(__file__).parents[2] / "vectors"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / name).read_text("utf-8"))
    return loaded


ALL, THEIRS = load("file.json"), load("cobblestone.json")
REFUSED = ALL["refused"]


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def attached(vector: dict[str, Any]) -> tuple[Attachment, SealedAttachment]:
    attachment = Attachment.model_validate_json(json.dumps(vector))
    assert attachment.sealed is not None
    return attachment, attachment.sealed


def test_the_vectors_are_what_this_program_makes() -> None:
    assert maker.vectors() == ALL


@pytest.mark.parametrize("vector", ALL["files"], ids=named)
def test_a_file_of_the_vectors_opens_from_what_its_message_says(vector: dict[str, Any]) -> None:
    _, segments, _ = maker.sealed(vector["name"])
    attachment, sealed = attached(vector["attachment"])
    whole = b"".join(segments)
    assert sha256(whole).hexdigest() == vector["ciphertext_sha256"]
    assert vector["ciphertext"] in {None, whole.hex()}
    for index, (data, said) in enumerate(zip(segments, vector["segments"], strict=True)):
        assert segment_hash(data).hex() == said["leaf_hash"]
        verify_segment(sealed.file, Segment(index, tuple(map(bytes.fromhex, said["path"])), data))
    digest = bytes.fromhex(attachment.sha256)
    opened = b"".join(open_file(sealed.file, sealed.key_bytes, attachment.size_bytes, segments, digest=digest))
    assert opened == maker.plaintext(attachment.size_bytes)


@pytest.mark.parametrize("vector", REFUSED["files"], ids=named)
def test_a_ciphertext_of_the_vectors_that_must_not_open_does_not(vector: dict[str, Any]) -> None:
    _, segments, _ = maker.sealed(vector["file"])
    source = next(one for one in ALL["files"] if one["name"] == vector["file"])
    attachment, sealed = attached(source["attachment"])
    right = b"".join(segments)
    wrong = bytearray(b"".join(right[at : at + length] for at, length in vector["parts"]))
    if vector["flip"] is not None:
        wrong[vector["flip"] // 8] ^= 1 << vector["flip"] % 8
    key = bytes.fromhex(vector["key"]) if "key" in vector else sealed.key_bytes
    digest = bytes.fromhex(vector.get("sha256", attachment.sha256))

    def opened() -> None:
        # The parts as they are, so that each rule refuses by itself: the root would refuse most of them first.
        opener = FileOpener(sealed.file, key, vector.get("size_bytes", attachment.size_bytes))
        hash_ = sha256(opener.update(wrong))
        hash_.update(opener.finish())
        list(open_file(sealed.file, key, attachment.size_bytes, [bytes(wrong)], digest=digest))

    with pytest.raises(ComityError) as refusal:
        opened()
    assert refusal.value.code == vector["error"]


def test_a_file_whose_padding_is_not_zeros_is_refused() -> None:
    vector = REFUSED["padding"]
    attachment, sealed = attached(vector["attachment"])
    with pytest.raises(ComityError) as refusal:
        list(open_file(sealed.file, sealed.key_bytes, attachment.size_bytes, [bytes.fromhex(vector["ciphertext"])]))
    assert refusal.value.code == "file-length-mismatch"


@pytest.mark.parametrize("vector", REFUSED["segments"], ids=named)
def test_a_segment_of_the_vectors_that_is_out_of_its_place_is_refused(vector: dict[str, Any]) -> None:
    file, segments, tree = maker.sealed("segments")
    with pytest.raises(ComityError) as refusal:
        verify_segment(file, Segment(vector["index"], tree.path(vector["path_of"]), segments[vector["data_of"]]))
    assert refusal.value.code == vector["error"]


def test_the_list_of_the_vectors_is_the_headers_and_their_events_are_about_it() -> None:
    files = decode_list(bytes.fromhex(ALL["list"]["list"]))
    said = files.file_set
    assert (said.digest.hex(), said.count, said.total_bytes) == tuple(
        ALL["list"][name] for name in ("digest", "count", "total_bytes")
    )
    assert whole_set(files).root.hex() == ALL["list"]["names_root"]
    for vector in ALL["headers"]:
        header = bytes.fromhex(vector["header"])
        routing = decode_routing(header)
        assert encode_routing(routing) == header
        if routing.file_set is not None:
            assert check_list(bytes.fromhex(ALL["list"]["list"]), routing.file_set) == files
    for vector in ALL["events"]:
        event = decode_event(bytes.fromhex(vector["entry"]))
        assert (event.name.value, event.name.uri) == (vector["event"], vector["uri"])
        assert event.files is not None
        assert (check_logged(event.files, files) is None) == (vector["event"] == "FileExpiry")
        assert (statement_of(event) is not None) == ("Handover" in vector["event"])


@pytest.mark.parametrize("vector", REFUSED["lists"], ids=named)
def test_a_list_of_the_vectors_that_breaks_a_rule_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ComityError) as refusal:
        decode_list(bytes.fromhex(vector["list"]))
    assert refusal.value.code == vector["error"]


@pytest.mark.parametrize("vector", REFUSED["headers"], ids=named)
def test_a_header_of_the_vectors_that_breaks_a_rule_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ComityError) as refusal:
        decode_routing(bytes.fromhex(vector["header"]))
    assert refusal.value.code == vector["error"]


# --- The vectors of others: C2SP/wycheproof, Cobblestone-256 -------------------------------------------------------


def _opened(vector: dict[str, Any], piece: int) -> tuple[bytes, str]:
    """What streamed opening gave, and the code of what ended it."""
    ciphertext, given = zlib.decompress(bytes.fromhex(vector["ciphertext_zlib"])), bytearray()
    try:
        opener = ChunkOpener(bytes.fromhex(vector["key"]), bytes.fromhex(vector["context"]))
        for at in range(0, len(ciphertext), piece):
            given += opener.update(ciphertext[at : at + piece])
        given += opener.finish()
    except ComityError as problem:
        return bytes(given), problem.code
    return bytes(given), ""


@pytest.mark.parametrize("vector", THEIRS["vectors"], ids=lambda vector: f"{vector['id']} {vector['comment']}")
def test_the_vectors_of_others_open_seal_and_are_refused_as_they_say(vector: dict[str, Any]) -> None:
    for piece in (16_400, 1 << 20):
        given, code = _opened(vector, piece)
        if vector["result"] == "valid":
            assert (len(given), sha512(given).hexdigest(), code) == (vector["length"], vector["sha512"], "")
            continue
        assert code in {"file-altered", "file-key-mismatch", "malformed"}
        assert "HeaderFailure" not in vector["flags"] or given == b""
        # Nothing beyond the parts that were sealed so, in their places.
        assert len(given) <= (vector["length"] or 0)
    if vector["result"] == "valid":
        ciphertext = zlib.decompress(bytes.fromhex(vector["ciphertext_zlib"]))
        key, context = bytes.fromhex(vector["key"]), bytes.fromhex(vector["context"])
        sealer = ChunkSealer(key, ciphertext[:24], 1 << 20, context)
        assert b"".join((*sealer.update(given), *sealer.finish())) == ciphertext


def test_all_vectors_of_others_are_here() -> None:
    results = [vector["result"] for vector in THEIRS["vectors"]]
    assert (results.count("valid"), results.count("invalid")) == (10, 25)
