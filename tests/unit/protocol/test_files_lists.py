"""The list of a message's files, the set in its header, and what an event says of them: one encoding, and no other."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding import cbor
from protocol.errors import (
    ComityError,
    FileLengthMismatchError,
    FileSetMismatchError,
    FileUnknownError,
    MalformedError,
    NonCanonicalError,
    TooLargeError,
)
from protocol.files.file_list import (
    MAX_FILES,
    MAX_LIST_BYTES,
    FileList,
    FileSet,
    check_list,
    decode_list,
    encode_list,
)
from protocol.files.logged import LoggedFiles, check_logged, names_root, one_file, some_files, whole_set
from protocol.files.sealed_file import MAX_FILE_BYTES, MIN_LENGTH, SEGMENT_SIZES, SealedFile, sealed_length
from protocol.log.merkle import EMPTY_ROOT, leaf_hash, node_hash

MIB = SEGMENT_SIZES[0]


def file(number: int, size: int = 1) -> SealedFile:
    return SealedFile(1, MIB, sealed_length(size), sha256(number.to_bytes(4, "big")).digest())


FILES = FileList.of([file(1), file(2, 70 << 20), file(3)])
VALUE = cbor.decode(encode_list(FILES))
files = st.builds(
    SealedFile,
    st.just(1),
    st.sampled_from(SEGMENT_SIZES),
    st.integers(0, 10**12).map(sealed_length),
    st.binary(min_size=32, max_size=32),
)


@given(st.lists(files, min_size=1, max_size=8, unique_by=lambda one: one.name), st.randoms())
def test_a_list_in_any_order_is_one_list_and_comes_back(given_files: list[SealedFile], random: Any) -> None:
    listed = FileList.of(given_files)
    random.shuffle(given_files)
    assert FileList.of(given_files) == listed
    encoded = encode_list(listed)
    assert decode_list(encoded) == listed
    assert check_list(encoded, listed.file_set) == listed
    assert listed.names == tuple(sorted(one.name for one in given_files))
    assert listed.file_set.total_bytes == sum(one.length for one in given_files)
    assert listed.file_set.digest == sha256(b"comity/v1/file-set\0" + encoded).digest()


def test_the_longest_list_fits_and_one_more_does_not() -> None:
    largest = [SealedFile(1, SEGMENT_SIZES[-1], sealed_length(2**42), file(number).root) for number in range(MAX_FILES)]
    encoded = encode_list(FileList.of(largest))
    assert len(encoded) <= MAX_LIST_BYTES
    assert len(decode_list(encoded).files) == MAX_FILES
    assert FileList.of(largest).file_set.count == MAX_FILES
    assert FileSet(bytes(32), 1, MAX_FILE_BYTES)
    one_more = sorted([*largest, file(MAX_FILES)], key=lambda one: one.name)
    with pytest.raises(TooLargeError):
        FileList(tuple(one_more))
    with pytest.raises(TooLargeError):
        decode_list(cbor.encode([[one.suite, one.segment_bytes, one.length, one.root] for one in one_more]))
    with pytest.raises(TooLargeError):
        FileList(())


def test_files_that_are_together_longer_than_numbers_can_tell_are_refused() -> None:
    huge = [SealedFile(1, SEGMENT_SIZES[-1], sealed_length(2**51), file(number).root) for number in range(5)]
    with pytest.raises(TooLargeError):
        FileList.of(huge)


def changed(change: Callable[[list[Any]], object]) -> bytes:
    value = [list(row) for row in VALUE]
    change(value)
    return cbor.encode(value)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (changed(lambda rows: rows.reverse()), MalformedError),
        (changed(lambda rows: rows.insert(0, rows[0])), MalformedError),
        (changed(lambda rows: rows[0].pop()), MalformedError),
        (changed(lambda rows: rows[0].append(0)), MalformedError),
        (changed(lambda rows: rows[0].__setitem__(0, 2)), MalformedError),
        (changed(lambda rows: rows[0].__setitem__(0, True)), MalformedError),
        (changed(lambda rows: rows[0].__setitem__(1, 1000)), MalformedError),
        (changed(lambda rows: rows[0].__setitem__(2, MIN_LENGTH + 1)), MalformedError),
        (changed(lambda rows: rows[0].__setitem__(2, 56 + 16400)), FileLengthMismatchError),
        (changed(lambda rows: rows[0].__setitem__(3, bytes(31))), MalformedError),
        (changed(lambda rows: rows[0].__setitem__(3, "x" * 32)), MalformedError),
        (changed(lambda rows: rows.__setitem__(0, {})), MalformedError),
        (changed(lambda rows: rows.clear()), TooLargeError),
        (cbor.encode({}), MalformedError),
        (cbor.encode(b"list"), MalformedError),
        (encode_list(FILES) + b"\0", NonCanonicalError),
        (encode_list(FILES)[:-1], MalformedError),
        (b"\x9f" + encode_list(FILES)[1:] + b"\xff", MalformedError),
        (b"\x98\x03" + encode_list(FILES)[1:], NonCanonicalError),
        (bytes(MAX_LIST_BYTES + 1), TooLargeError),
    ],
)
def test_a_list_that_breaks_a_rule_is_refused(body: bytes, error: type[ComityError]) -> None:
    with pytest.raises(ComityError) as refusal:
        decode_list(body)
    assert refusal.type is error


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_list(data: bytes) -> None:
    with pytest.raises(ComityError):
        decode_list(data)


@given(st.integers(0, len(encode_list(FILES)) - 1), st.integers(0, 7))
def test_a_list_with_one_bit_flipped_is_not_the_headers(at: int, bit: int) -> None:
    altered = bytearray(encode_list(FILES))
    altered[at] ^= 1 << bit
    with pytest.raises(FileSetMismatchError):
        check_list(bytes(altered), FILES.file_set)


def test_a_list_is_the_headers_or_refused() -> None:
    own, encoded = FILES.file_set, encode_list(FILES)
    for other in (
        None,
        FileSet(bytes(32), own.count, own.total_bytes),
        FileSet(own.digest, own.count - 1, own.total_bytes),
        FileSet(own.digest, own.count, own.total_bytes + 1),
    ):
        with pytest.raises(FileSetMismatchError):
            check_list(encoded, other)
    with pytest.raises(FileSetMismatchError):
        check_list(bytes(MAX_LIST_BYTES + 1), own)


@pytest.mark.parametrize(
    "parts",
    [
        (bytes(31), 1, MIN_LENGTH),
        ("0" * 32, 1, MIN_LENGTH),
        (bytes(32), 0, MIN_LENGTH),
        (bytes(32), MAX_FILES + 1, MAX_FILE_BYTES),
        (bytes(32), True, MIN_LENGTH),
        (bytes(32), 2, 2 * MIN_LENGTH - 1),
        (bytes(32), 1, MAX_FILE_BYTES + 1),
        (bytes(32), 1, float(MIN_LENGTH)),
    ],
)
def test_a_file_set_that_no_list_has_is_refused(parts: tuple[bytes, int, int]) -> None:
    with pytest.raises(MalformedError):
        FileSet(*parts)


# --- What an event says --------------------------------------------------------------------------------------------


def test_an_event_tells_of_the_whole_set_of_one_file_or_of_some() -> None:
    whole = whole_set(FILES)
    assert whole == LoggedFiles(FILES.file_set.digest, None, 3, names_root(FILES.names))
    assert check_logged(whole, FILES) == FILES.files
    for one in FILES.files:
        assert one_file(FILES, one) == LoggedFiles(FILES.file_set.digest, one.name, 1, one.root)
        assert check_logged(one_file(FILES, one), FILES) == (one,)
    some = some_files(FILES, FILES.names[:2])
    assert some == some_files(FILES, reversed(FILES.names[:2]))
    assert (some.count, check_logged(some, FILES)) == (2, None)
    assert (some_files(FILES, ()).count, some_files(FILES, ()).root) == (0, EMPTY_ROOT)
    assert LoggedFiles.from_value(cbor.decode(cbor.encode(some.to_value()))) == some


def test_the_root_over_names_is_that_of_a_log_with_the_names_as_entries() -> None:
    first, second, third = map(leaf_hash, FILES.names)
    assert names_root(FILES.names) == node_hash(node_hash(first, second), third)
    assert names_root(FILES.names[:1]) == first


def test_an_event_about_other_files_than_the_lists_is_refused() -> None:
    whole, other = whole_set(FILES), FileList.of([file(9)])
    for wrong in (
        whole_set(other),
        one_file(other, other.files[0]),
        LoggedFiles(whole.file_set, other.names[0], 1, other.files[0].root),
        LoggedFiles(whole.file_set, FILES.names[0], 1, FILES.files[1].root),
        LoggedFiles(whole.file_set, None, 3, bytes(32)),
        LoggedFiles(whole.file_set, None, 4, whole.root),
    ):
        with pytest.raises(FileSetMismatchError):
            check_logged(wrong, FILES)
    for names in (other.names, (*FILES.names, bytes(32))):
        with pytest.raises(FileUnknownError):
            some_files(FILES, names)


@pytest.mark.parametrize(
    "value",
    [
        [bytes(31), None, 1, bytes(32)],
        [bytes(32), None, 0, bytes(32)],
        [bytes(32), None, MAX_FILES + 1, bytes(32)],
        [bytes(32), None, 1, EMPTY_ROOT],
        [bytes(32), bytes(32), 0, EMPTY_ROOT],
        [bytes(32), None, True, bytes(32)],
        ["0" * 32, None, 1, bytes(32)],
        [bytes(32), "0" * 32, 1, bytes(32)],
        [bytes(32), None, 1, "0" * 32],
        [bytes(32), bytes(31), 1, bytes(32)],
        [bytes(32), bytes(32), 2, bytes(32)],
        [bytes(32), "name", 1, bytes(32)],
        [bytes(32), None, 1, bytes(33)],
        [bytes(32), None, 1],
        [bytes(32), None, 1, bytes(32), 0],
        {},
    ],
)
def test_what_no_event_says_of_files_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        LoggedFiles.from_value(value)
