from __future__ import annotations

import pytest

from node.limits import MAX_BUCKETS, TokenBuckets
from protocol.errors import RateLimitedError


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


def test_failures_close_the_door_until_time_has_passed() -> None:
    timer = Timer()
    buckets = TokenBuckets(per_second=1, burst=2, timer=timer)
    buckets.require("address")
    for _ in range(5):
        buckets.drain("address")
    with pytest.raises(RateLimitedError):
        buckets.require("address")
    timer.now = 1.0
    buckets.require("address")


def test_the_number_of_buckets_is_bounded() -> None:
    buckets = TokenBuckets(per_second=1, burst=1, timer=Timer())
    for number in range(MAX_BUCKETS + 10):
        buckets.take(str(number))
    assert len(buckets._buckets) == MAX_BUCKETS
