"""A sealed file: what went in comes out, and nothing that was altered, moved, cut or sealed otherwise opens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding.padme import padded_size
from protocol.errors import (
    ComityError,
    FileAlteredError,
    FileHashMismatchError,
    FileKeyMismatchError,
    FileLengthMismatchError,
    MalformedError,
    TooLargeError,
)
from protocol.files import chunked
from protocol.files.chunked import ChunkOpener, ChunkSealer
from protocol.files.opening import FileOpener, open_file
from protocol.files.sealed_file import (
    MAX_FILE_BYTES,
    MIN_LENGTH,
    SEGMENT_SIZES,
    SealedFile,
    Segment,
    SegmentTree,
    sealed_length,
    segment_hash,
    split_segment_path,
    verify_segment,
)
from protocol.files.sealing import FileSealer
from protocol.log.frontier import Frontier
from protocol.log.merkle import EMPTY_ROOT, verify_inclusion

KEY, SALT, MIB = bytes(range(32)), bytes(range(24)), 1 << 20
CHUNK = chunked.CHUNK_BYTES
# Beside each place where a chunk, the padding or a segment ends.
SIZES = (0, 1, 511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5)


def content(size: int, seed: int = 1) -> bytes:
    """Bytes of which no two chunks are the same."""
    block = sha256(bytes([seed])).digest()
    return b"".join(sha256(block + number.to_bytes(4, "big")).digest() for number in range(-(-size // 32)))[:size]


def sealed_chunks(plaintext: bytes, part_bytes: int = 5_000, pieces: Sequence[int] = ()) -> list[bytearray]:
    sealer, parts, at = ChunkSealer(KEY, SALT, part_bytes), [], 0
    for piece in (*pieces, len(plaintext)):
        parts += sealer.update(plaintext[at : at + piece])
        at += piece
    return parts + sealer.finish()


def opened(ciphertext: bytes, key: bytes = KEY, piece: int = 7_000, context: bytes = chunked.CONTEXT) -> bytes:
    opener = ChunkOpener(key, context)
    found = [bytes(opener.update(ciphertext[at : at + piece])) for at in range(0, len(ciphertext), piece)]
    return b"".join((*found, bytes(opener.finish())))


def code_of(ciphertext: bytes, **how: bytes) -> str:
    with pytest.raises(ComityError) as refusal:
        opened(ciphertext, **how)  # type: ignore[arg-type]
    return refusal.value.code


# --- Chunks --------------------------------------------------------------------------------------------------------


@given(st.sampled_from(SIZES) | st.integers(0, 60_000), st.integers(57, 40_000), st.lists(st.integers(0, 20_000)))
def test_any_file_in_any_pieces_comes_back_from_any_parts(size: int, part: int, pieces: list[int]) -> None:
    plaintext = content(size)
    parts = sealed_chunks(plaintext, part, pieces)
    assert {len(one) for one in parts[:-1]} <= {part}
    assert 1 <= len(parts[-1]) <= part
    ciphertext = b"".join(parts)
    assert len(ciphertext) == chunked.ciphertext_length(size)
    assert chunked.plaintext_length(len(ciphertext)) == size
    assert ciphertext == b"".join(sealed_chunks(plaintext))
    assert opened(ciphertext, piece=part) == plaintext


def test_it_is_the_construction_that_is_published() -> None:
    # Written anew from the specification, by other means than those of the module.
    import hmac
    from hashlib import sha512

    plaintext = content(2 * CHUNK + 9)
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + SALT + b"comity/v1/file"
    first = hmac.digest(KEY, info + b"\x01", sha512)
    made = first + hmac.digest(KEY, first + info + b"\x02", sha512)
    key, nonce, commitment = made[:32], int.from_bytes(made[32:44], "big"), made[44:76]
    chunks = [plaintext[at : at + CHUNK] for at in (0, CHUNK, 2 * CHUNK)]
    sealed = [AESGCM(key).encrypt((nonce ^ n).to_bytes(12, "big"), chunk, None) for n, chunk in enumerate(chunks)]
    assert b"".join(sealed_chunks(plaintext)) == SALT + commitment + b"".join(sealed)


WHOLE = b"".join(sealed_chunks(content(2 * CHUNK + 700)))


@given(st.integers(0, 8 * len(WHOLE) - 1))
def test_any_flipped_bit_is_refused_with_the_error_of_its_place(bit: int) -> None:
    flipped = bytearray(WHOLE)
    flipped[bit // 8] ^= 1 << bit % 8
    prefix = bit < 8 * chunked.PREFIX_BYTES
    assert code_of(flipped) == ("file-key-mismatch" if prefix else "file-altered")


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_anywhere_is_refused(end: int) -> None:
    assert code_of(WHOLE[:end]) == "file-altered"


@pytest.mark.parametrize("added", [b"\0", bytes(16), WHOLE[-716:], bytes(chunked.SEALED_CHUNK_BYTES)])
def test_a_file_with_something_behind_it_is_refused(added: bytes) -> None:
    assert code_of(WHOLE + added) == "file-altered"


def test_chunks_that_were_moved_repeated_or_left_out_are_refused() -> None:
    at, step = chunked.PREFIX_BYTES, chunked.SEALED_CHUNK_BYTES
    head, first, second, last = (
        WHOLE[:at],
        WHOLE[at : at + step],
        WHOLE[at + step : at + 2 * step],
        WHOLE[at + 2 * step :],
    )
    for wrong in (
        head + second + first + last,
        head + first + first + last,
        head + first + last,
        head + second + last,
        head + first + second,
        head + last,
        head,
    ):
        assert code_of(wrong) == "file-altered"


def test_another_key_salt_or_context_is_refused_before_any_chunk_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a chunk was opened")

    monkeypatch.setattr(ChunkOpener, "_open", fail)
    assert code_of(WHOLE, key=bytes(32)) == "file-key-mismatch"
    assert code_of(WHOLE, context=b"comity/v1/other") == "file-key-mismatch"
    assert code_of(bytes(24) + WHOLE[24:]) == "file-key-mismatch"


def test_after_a_refusal_nothing_more_is_given() -> None:
    opener = ChunkOpener(KEY)
    broken = bytearray(WHOLE)
    broken[100] ^= 1
    with pytest.raises(FileAlteredError):
        opener.update(broken)
    for again in (lambda: opener.update(WHOLE), opener.finish):
        with pytest.raises(FileAlteredError):
            again()
    opener = ChunkOpener(KEY)
    with pytest.raises(FileKeyMismatchError):
        opener.update(bytes(56))
    with pytest.raises(FileAlteredError):
        opener.update(WHOLE[56:])
    opener = ChunkOpener(KEY)
    opener.update(WHOLE)
    opener.finish()
    with pytest.raises(FileAlteredError):
        opener.finish()


@pytest.mark.parametrize(("key", "salt"), [(bytes(31), SALT), (bytes(33), SALT), (KEY, bytes(23)), (KEY, bytes(25))])
def test_a_key_or_salt_of_another_length_is_refused(key: bytes, salt: bytes) -> None:
    with pytest.raises(MalformedError):
        ChunkSealer(key, salt, 5_000)


def test_an_opener_takes_no_key_of_another_length() -> None:
    for size in (0, 16, 31, 33):
        with pytest.raises(MalformedError):
            ChunkOpener(bytes(size))


def test_no_ciphertext_has_a_length_that_no_plaintext_gives() -> None:
    possible = {chunked.ciphertext_length(size) for size in range(3 * CHUNK)}
    for length in range(chunked.ciphertext_length(3 * CHUNK)):
        if length in possible:
            continue
        with pytest.raises(FileLengthMismatchError):
            chunked.plaintext_length(length)


def test_more_chunks_than_the_construction_allows_are_refused() -> None:
    assert chunked.ciphertext_length(chunked.MAX_CHUNKS * CHUNK - 1)
    with pytest.raises(TooLargeError):
        chunked.ciphertext_length(chunked.MAX_CHUNKS * CHUNK)
    with pytest.raises(FileLengthMismatchError):
        chunked.plaintext_length(chunked.ciphertext_length(chunked.MAX_CHUNKS * CHUNK - 1) + 17)
    sealer = ChunkSealer(KEY, SALT, 5_000)
    sealer._chunks = chunked.MAX_CHUNKS
    with pytest.raises(TooLargeError):
        sealer.update(bytes(CHUNK))
    opener = ChunkOpener(KEY)
    opener._chunks = chunked.MAX_CHUNKS
    with pytest.raises(FileAlteredError) as refusal:
        opener.update(WHOLE)
    assert "fewer than" in refusal.value.detail


def test_the_last_chunk_that_may_be_is_sealed_and_none_after_it() -> None:
    sealer = ChunkSealer(KEY, SALT, 40_000)
    sealer._chunks = chunked.MAX_CHUNKS - 1
    assert sealer.update(bytes(CHUNK)) == []
    with pytest.raises(TooLargeError):
        sealer.finish()


def test_an_end_that_came_before_a_refusal_is_not_given_after_it() -> None:
    short = b"".join(sealed_chunks(content(700)))
    opener = ChunkOpener(KEY)
    assert bytes(opener.update(short)) == b""
    with pytest.raises(FileAlteredError):
        opener.update(bytes(chunked.SEALED_CHUNK_BYTES))
    with pytest.raises(FileAlteredError):
        opener.finish()


def test_keys_are_not_shown() -> None:
    derived = chunked.derive(KEY, SALT)
    assert "key" not in repr(derived)
    assert "nonce" not in repr(derived)


# --- Files ---------------------------------------------------------------------------------------------------------


@cache
def sealed_file(
    size: int, segment_bytes: int = MIB, seed: int = 1
) -> tuple[SealedFile, tuple[bytes, ...], SegmentTree]:
    plaintext, sealer = content(size, seed), FileSealer(KEY, SALT[:-1] + bytes([seed]), segment_bytes)
    segments = [*sealer.update(plaintext), *sealer.finish()]
    assert sealer.file_bytes == size
    tree = SegmentTree(map(segment_hash, segments))
    return sealer.sealed_file(tree.root), tuple(map(bytes, segments)), tree


def plain(file: SealedFile, segments: Sequence[bytes], size: int, **how: bytes) -> bytes:
    key = how.pop("key", KEY)
    return b"".join(open_file(file, key, size, segments, digest=how.get("digest")))


@pytest.mark.parametrize("size", [0, 1, 512, 513, MIB - 1, MIB, 2 * MIB + 7])
@pytest.mark.parametrize("segment_bytes", SEGMENT_SIZES)
def test_any_file_is_sealed_padded_proved_and_opened(size: int, segment_bytes: int) -> None:
    file, segments, tree = sealed_file(size, segment_bytes)
    assert file.length == sum(map(len, segments)) == sealed_length(size)
    assert chunked.plaintext_length(file.length) == padded_size(size) >= max(size, 512)
    assert file.segments == len(segments) == tree.size
    for index, data in enumerate(segments):
        assert file.extent(index) == (index * segment_bytes, len(data))
        verify_segment(file, Segment(index, tree.path(index), data))
    assert plain(file, segments, size, digest=sha256(content(size)).digest()) == content(size)


def test_files_of_about_one_length_are_of_one_length() -> None:
    assert len({sealed_length(size) for size in range(513)}) == 1
    assert len({sealed_length(size) for size in range(3_000_000, 3_080_000, 500)}) <= 3
    for size in (10_000, 10**6, 10**9, 10**12):
        assert sealed_length(size) < 1.13 * size + 100


THREE, PARTS, TREE = sealed_file(2 * MIB + 7)
OTHER, OTHER_PARTS, OTHER_TREE = sealed_file(2 * MIB + 7, MIB, 2)


@given(st.permutations(range(len(PARTS))))
def test_segments_prove_themselves_in_any_order(order: list[int]) -> None:
    came = {}
    for index in order:
        verify_segment(THREE, Segment(index, TREE.path(index), PARTS[index]))
        came[index] = PARTS[index]
    assert plain(THREE, [came[index] for index in range(len(PARTS))], 2 * MIB + 7) == content(2 * MIB + 7)


@pytest.mark.parametrize("at", range(len(PARTS)))
@pytest.mark.parametrize("place", [0, 30, -1])
def test_a_segment_with_one_bit_flipped_is_refused(at: int, place: int) -> None:
    data = bytearray(PARTS[at])
    data[place] ^= 4
    with pytest.raises(FileAlteredError):
        verify_segment(THREE, Segment(at, TREE.path(at), data))


def test_a_segment_at_another_place_of_another_file_or_length_is_refused() -> None:
    paths = [TREE.path(at) for at in range(len(PARTS))]
    for wrong in (
        Segment(1, paths[1], PARTS[0]),
        Segment(1, paths[0], PARTS[0]),
        Segment(0, OTHER_TREE.path(0), OTHER_PARTS[0]),
        Segment(0, paths[0], OTHER_PARTS[0]),
        Segment(0, paths[0], PARTS[0][:-1]),
        Segment(0, paths[0], PARTS[0] + b"\0"),
        Segment(0, paths[0], b""),
        Segment(2, paths[2], PARTS[0]),
        Segment(0, paths[0][:-1], PARTS[0]),
        Segment(0, (*paths[0], bytes(32)), PARTS[0]),
        Segment(0, (*paths[0][:-1], bytes(31)), PARTS[0]),
        Segment(-1, paths[2], PARTS[2]),
        Segment(3, paths[2], PARTS[2]),
        Segment(True, paths[1], PARTS[1]),
    ):
        with pytest.raises(FileAlteredError):
            verify_segment(THREE, wrong)


def test_segments_that_were_cut_swapped_repeated_or_exchanged_do_not_open() -> None:
    first, second, last = PARTS
    for wrong in (
        [first, second],
        [first],
        [],
        [second, first, last],
        [first, first, last],
        [first, OTHER_PARTS[1], last],
        [first, second, last, last],
        [first, second, last[:-1]],
        [first, second, last + b"\0"],
        [first[:-1], second, last],
    ):
        with pytest.raises(FileAlteredError):
            plain(THREE, wrong, 2 * MIB + 7)


def test_segments_are_cut_where_the_name_says_and_nowhere_else() -> None:
    # Under a root that its maker gave to parts of other lengths, no part is a segment of its place.
    whole = b"".join(PARTS)
    cuts = [whole[: MIB - 1], whole[MIB - 1 : 2 * MIB], whole[2 * MIB :]]
    tree = SegmentTree(map(segment_hash, cuts))
    file = SealedFile(1, MIB, THREE.length, tree.root)
    for index in (0, 1):
        with pytest.raises(FileAlteredError):
            verify_segment(file, Segment(index, tree.path(index), cuts[index]))
    with pytest.raises(FileAlteredError):
        plain(file, cuts, 2 * MIB + 7)
    # Nor is a root over fewer of them the root of the file.
    fewer = SealedFile(1, MIB, THREE.length, SegmentTree(map(segment_hash, PARTS[:2])).root)
    with pytest.raises(FileAlteredError):
        plain(fewer, PARTS[:2], 2 * MIB + 7)
    for index in (-1, 3, True):
        with pytest.raises(FileAlteredError):
            THREE.extent(index)
    for short in (whole[:-1], WHOLE):  # the second is whole by itself, and shorter than the name says
        opener = FileOpener(THREE, KEY, 2 * MIB + 7)
        opener.update(short)
        with pytest.raises(FileAlteredError):
            opener.finish()


def test_a_whole_file_in_the_place_of_another_is_refused_by_its_key_and_by_its_name() -> None:
    with pytest.raises(FileKeyMismatchError):
        plain(THREE, PARTS, 2 * MIB + 7, key=bytes(32))
    # Sealed by the same sender under the same key, and so opened: but not what the name stands for.
    with pytest.raises(FileAlteredError):
        plain(THREE, OTHER_PARTS, 2 * MIB + 7)


def test_another_length_than_was_sealed_is_refused() -> None:
    size = 2 * MIB + 7
    for wrong in (0, size - MIB, 2 * size):
        with pytest.raises(FileLengthMismatchError):
            plain(THREE, PARTS, wrong)
    # Padded alike: the bytes behind the end tell, or the hash does.
    with pytest.raises(FileLengthMismatchError):
        plain(THREE, PARTS, size - 1)
    with pytest.raises(FileHashMismatchError):
        plain(THREE, PARTS, size + 1, digest=sha256(content(size)).digest())
    with pytest.raises(TooLargeError):
        FileOpener(THREE, KEY, MAX_FILE_BYTES + 1)
    with pytest.raises(MalformedError):
        sealed_length(-1)


def test_padding_that_is_not_zeros_is_refused_wherever_it_is() -> None:
    size = 2 * MIB + 7
    padded = padded_size(size)
    for place in (size, size + 1, padded - CHUNK, padded - 1):
        plaintext = bytearray(content(size) + bytes(padded - size))
        plaintext[place] = 1
        sealer = ChunkSealer(KEY, SALT, MIB)
        segments = [*sealer.update(plaintext), *sealer.finish()]
        file = SealedFile(1, MIB, THREE.length, SegmentTree(map(segment_hash, segments)).root)
        with pytest.raises(FileLengthMismatchError):
            plain(file, [bytes(one) for one in segments], size)


def test_a_sender_who_sealed_a_part_otherwise_is_named_as_the_cause_and_not_the_way() -> None:
    size = 2 * MIB + 7
    for place in (0, 60, 2 * MIB + 50, THREE.length - 1):
        rotten = bytearray(b"".join(PARTS))
        rotten[place] ^= 1
        segments = [bytes(rotten[at : at + MIB]) for at in range(0, len(rotten), MIB)]
        file = SealedFile(1, MIB, THREE.length, SegmentTree(map(segment_hash, segments)).root)
        with pytest.raises(FileKeyMismatchError):
            plain(file, segments, size)
        with pytest.raises(FileAlteredError):
            plain(THREE, segments, size)


def test_a_file_that_opens_and_is_not_the_one_whose_hash_is_stated_is_refused_at_its_end() -> None:
    pieces = open_file(THREE, KEY, 2 * MIB + 7, PARTS, digest=bytes(32))
    with pytest.raises(FileHashMismatchError):
        list(pieces)


def test_a_ciphertext_longer_than_its_name_says_is_refused_before_it_is_opened() -> None:
    opener = FileOpener(THREE, KEY, 2 * MIB + 7)
    with pytest.raises(FileAlteredError):
        opener.update(b"".join(PARTS) + b"\0")


# --- Names ---------------------------------------------------------------------------------------------------------


def test_the_name_commits_to_every_part() -> None:
    other = [
        SealedFile(1, SEGMENT_SIZES[1], THREE.length, THREE.root),
        SealedFile(1, MIB, sealed_length(9 * MIB), THREE.root),
        SealedFile(1, MIB, THREE.length, OTHER.root),
    ]
    assert len({file.name for file in (THREE, *other)}) == 4
    head = b"comity/v1/file\0\x01\x00\x10\x00\x00" + THREE.length.to_bytes(8, "big")
    assert sha256(head + THREE.root).digest() == THREE.name
    # The commitment to the key is a part of the first segment, so it is inside the name.
    assert PARTS[0][24:56] == chunked.derive(KEY, SALT[:-1] + b"\x01").commitment


@pytest.mark.parametrize(
    "parts",
    [
        (0, MIB, MIN_LENGTH, bytes(32)),
        (2, MIB, MIN_LENGTH, bytes(32)),
        (True, MIB, MIN_LENGTH, bytes(32)),
        (1, MIB - 1, MIN_LENGTH, bytes(32)),
        (1, MIB // 2, MIN_LENGTH, bytes(32)),
        (1, 8 * MIB, MIN_LENGTH, bytes(32)),
        (1, float(MIB), MIN_LENGTH, bytes(32)),
        (1, MIB, MIN_LENGTH - 1, bytes(32)),
        (1, MIB, 0, bytes(32)),
        (1, MIB, True, bytes(32)),
        (1, MIB, float(MIN_LENGTH), bytes(32)),
        (1, MIB, chunked.ciphertext_length(300), bytes(32)),
        (1, MIB, chunked.ciphertext_length(513), bytes(32)),
        (1, MIB, chunked.ciphertext_length(CHUNK) - 1, bytes(32)),
        (1, MIB, MAX_FILE_BYTES + 1, bytes(32)),
        (1, MIB, MIN_LENGTH, bytes(31)),
        (1, MIB, MIN_LENGTH, bytearray(32)),
        (1, MIB, MIN_LENGTH, "0" * 32),
    ],
)
def test_what_no_sealed_file_can_be_is_refused(parts: tuple[int, int, int, bytes]) -> None:
    with pytest.raises((MalformedError, FileLengthMismatchError)):
        SealedFile(*parts)


def test_a_sealer_takes_no_other_segments_and_no_endless_file() -> None:
    with pytest.raises(MalformedError):
        FileSealer(KEY, SALT, MIB + 1)
    sealer = FileSealer(KEY, SALT)
    sealer._sealer._chunks = chunked.MAX_CHUNKS
    with pytest.raises(TooLargeError):
        sealer.update(bytes(CHUNK))


# --- Trees ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 70))
def test_the_tree_is_that_of_the_log_and_every_path_leads_to_its_root(size: int) -> None:
    leaves = [sha256(bytes([number])).digest() for number in range(size)]
    tree = SegmentTree(leaves)
    assert tree.root == Frontier().extended(leaves).root()
    for index, leaf in enumerate(leaves):
        verify_inclusion(leaf, index, size, tree.path(index), tree.root)


def test_a_tree_has_no_path_outside_and_takes_hashes_alone() -> None:
    assert SegmentTree().root == EMPTY_ROOT
    for tree, index in ((SegmentTree(), 0), (TREE, -1), (TREE, len(PARTS))):
        with pytest.raises(FileAlteredError):
            tree.path(index)
    with pytest.raises(MalformedError):
        SegmentTree([bytes(31)])


@given(st.binary(max_size=100))
def test_a_path_that_travels_as_one_string_is_hashes_or_refused(path: bytes) -> None:
    if len(path) % 32:
        with pytest.raises(MalformedError):
            split_segment_path(path)
    else:
        assert b"".join(split_segment_path(path)) == path


def test_a_path_longer_than_any_tree_is_high_is_refused() -> None:
    with pytest.raises(MalformedError):
        split_segment_path(bytes(65 * 32))
    with pytest.raises(MalformedError):
        split_segment_path(bytearray(32))  # type: ignore[arg-type]
