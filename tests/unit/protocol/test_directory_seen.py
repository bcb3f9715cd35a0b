"""Which directory a node works with stands in its log, and an auditor sees who was shown another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit._views import rollbacks, split_views
from exchange.audit.verify import VerifiedLog
from protocol.directory_seen import MAX_VERSION, DirectorySeen, decode_entry, encode_directory_seen
from protocol.encoding import cbor
from protocol.errors import MalformedError, UnsupportedVersionError
from protocol.event import Event, EventName
from tests.unit.exchange.test_audit import NOW, event, verified, write

ONE, OTHER = bytes([1]) * 32, bytes([2]) * 32


def seen(version: int, digest: bytes = ONE) -> bytes:
    return encode_directory_seen(DirectorySeen(NOW, version, digest))


def log(tmp_path: Path, node: str, *entries: Event | bytes) -> VerifiedLog:
    return verified(write(tmp_path / node, node, entries), node)


@given(
    st.integers(0, 4_000_000_000).map(lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
    st.integers(1, MAX_VERSION),
    st.binary(min_size=32, max_size=32),
)
def test_every_entry_is_read_as_it_was_written(at: datetime, version: int, digest: bytes) -> None:
    entry = DirectorySeen(at, version, digest)

    assert decode_entry(encode_directory_seen(entry)) == entry


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({1: 2}, UnsupportedVersionError),
        ({1: True}, UnsupportedVersionError),
        ({12: 0}, MalformedError),
        ({12: 1 << 53}, MalformedError),
        ({12: "1"}, MalformedError),
        ({12: True}, MalformedError),
        ({13: b"short"}, MalformedError),
        ({13: "x" * 32}, MalformedError),
        ({14: 1}, MalformedError),
        ({3: -1}, MalformedError),
        ({2: "DirectoryWas"}, MalformedError),
    ],
)
def test_an_entry_of_another_form_is_refused(change: dict[int, object], error: type[Exception]) -> None:
    value = {1: 1, 2: "DirectorySeen", 3: 1, 12: 1, 13: ONE, **change}

    with pytest.raises(error):
        decode_entry(cbor.encode(value))


def test_an_entry_that_is_no_map_is_refused_with_a_typed_error() -> None:
    for value in ([1], 1, "DirectorySeen"):
        with pytest.raises(MalformedError):
            decode_entry(cbor.encode(value))


def test_the_first_and_the_last_version_are_taken() -> None:
    for version in (1, MAX_VERSION):
        entry = DirectorySeen(NOW, version, ONE)
        assert decode_entry(encode_directory_seen(entry)) == entry


def test_honest_nodes_have_no_finding(tmp_path: Path) -> None:
    jp = log(tmp_path, "jp", seen(1), event(EventName.SubmissionAcceptance, 1), seen(2), seen(5, OTHER))
    fr = log(tmp_path, "fr", seen(2), seen(5, OTHER))

    assert [finding.code for finding in (*jp.findings, *fr.findings)] == []
    assert split_views([jp, fr]) == []
    assert list(rollbacks(jp.origin, jp.views)) == []


def test_two_directories_of_one_version_are_a_split_view(tmp_path: Path) -> None:
    jp, fr = log(tmp_path, "jp", seen(1), seen(2)), log(tmp_path, "fr", seen(1), seen(2, OTHER))

    (finding,) = split_views([jp, fr])

    assert (finding.code, finding.origin, finding.index) == ("split-view", fr.origin, 1)


def test_a_node_that_goes_back_to_an_older_directory_is_found(tmp_path: Path) -> None:
    jp = log(tmp_path, "jp", seen(3), seen(2), seen(2, OTHER))

    assert [finding.code for finding in rollbacks(jp.origin, jp.views)] == ["directory-rollback", "split-view"]
