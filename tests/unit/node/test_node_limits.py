from __future__ import annotations

import pytest

from node.operations.limits import MAX_BUCKETS, Room, TokenBuckets, network_of
from protocol.errors import RateLimitedError, UnavailableError


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_the_next_request_waits_for_its_token() -> None:
    timer = Timer()
    buckets = TokenBuckets(per_second=2, burst=3, timer=timer)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(RateLimitedError):
        buckets.take("a")
    timer.now = 0.5
    buckets.take("a")
    with pytest.raises(RateLimitedError):
        buckets.take("a")


def test_one_caller_does_not_use_up_what_is_anothers() -> None:
    buckets = TokenBuckets(per_second=0.001, burst=1, timer=Timer())
    buckets.take("a")
    buckets.take("b")
    with pytest.raises(RateLimitedError):
        buckets.take("a")


def test_a_batch_that_costs_more_than_a_bucket_takes_a_full_one() -> None:
    buckets = TokenBuckets(per_second=1, burst=2, timer=Timer())
    buckets.take("a", 100)
    with pytest.raises(RateLimitedError):
        buckets.take("a")


def test_a_refused_request_costs_nothing() -> None:
    timer = Timer()
    buckets = TokenBuckets(per_second=1, burst=2, timer=timer)
    buckets.take("a", 1)
    with pytest.raises(RateLimitedError):
        buckets.take("a", 2)
    buckets.take("a", 1)


def test_a_key_has_its_share_of_the_room_and_others_theirs() -> None:
    room = Room(4, 2, "requests")
    with room.take("a"), room.take("a"):
        with pytest.raises(RateLimitedError), room.take("a"):
            pass
        with room.take("b"), room.take("b"), pytest.raises(UnavailableError), room.take("c"):
            pass
        with room.take("c"):
            assert room.total == 3
    assert room.total == 0


def test_room_is_given_back_also_after_an_error() -> None:
    room = Room(100, 50, "bytes")
    with pytest.raises(ValueError, match="broken"), room.take("a", 50):
        raise ValueError("broken")
    with room.take("a", 50):
        assert room.total == 50


def test_one_thing_larger_than_a_share_goes_through_alone() -> None:
    room = Room(100, 10, "bytes")
    with room.take("a", 90):
        with pytest.raises(RateLimitedError), room.take("a", 1):
            pass
        with room.take("b", 10):
            pass


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_subscriber_count_together_and_no_others(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_number_of_buckets_is_bounded() -> None:
    buckets = TokenBuckets(per_second=1, burst=1, timer=Timer())
    for number in range(MAX_BUCKETS + 10):
        buckets.take(str(number))
    assert len(buckets._buckets) == MAX_BUCKETS
