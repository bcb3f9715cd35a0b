"""The S3 adapter holds what every store of segments must hold, at moto's server, and fails as errors that pass."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from node.files.s3 import ObjectStore
from node.files.store import FileStore
from protocol.errors import SettingsError, UnavailableError
from tests.conformance.file_store import MESSAGE, NAME, FileStoreConformance, opened, segment
from tests.worlds.patience import WITHIN_S
from tests.worlds.s3_services import SECRET, bucket_settings, make_bucket, moto_service, troubled

pytestmark = pytest.mark.outside


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with moto_service() as address:
        yield address


@pytest.fixture
def bucket(service: str) -> str:
    name = f"bucket-{uuid4().hex}"
    make_bucket(service, name)
    return name


class TestObjectStore(FileStoreConformance):
    @pytest.fixture(autouse=True)
    def _at(self, service: str, bucket: str) -> None:
        self.service, self.bucket = service, bucket

    def new_store(self, path: Path) -> FileStore:
        return ObjectStore(bucket_settings(self.service, self.bucket, path), path)


async def test_a_service_that_fails_now_and_then_is_asked_again(service: str, bucket: str, tmp_path: Path) -> None:
    with troubled(service, [500, 503]) as address:
        async with opened(ObjectStore(bucket_settings(address, bucket, tmp_path), tmp_path)) as store:
            await store.put(MESSAGE, [segment(0)])
            assert await store.get(MESSAGE, NAME, 0) == b"segment 0"


async def test_a_service_that_goes_on_failing_is_told_as_an_error_that_passes(
    service: str, bucket: str, tmp_path: Path
) -> None:
    reported: list[tuple[str, bool]] = []
    with troubled(service, [500] * 3) as address:
        settings = bucket_settings(address, bucket, tmp_path, retries=1)
        store = ObjectStore(settings, tmp_path, report=lambda file, problem, use: reported.append((use, bool(problem))))
        async with opened(store):
            with pytest.raises(UnavailableError) as refused:
                await store.put(MESSAGE, [segment(0)])
            assert address not in str(refused.value)
            await store.put(MESSAGE, [segment(0)])  # the third failure, and then it works
    assert [problem for _, problem in reported if _ == "writing"] == [False, True, False]


async def test_an_answer_that_breaks_off_is_never_taken_for_a_segment(
    service: str, bucket: str, tmp_path: Path
) -> None:
    content = b"s" * 100_000
    async with opened(ObjectStore(bucket_settings(service, bucket, tmp_path), tmp_path)) as store:
        await store.put(MESSAGE, [segment(0, content)])
    with troubled(service, ["cut"]) as address:
        async with opened(ObjectStore(bucket_settings(address, bucket, tmp_path, retries=0), tmp_path)) as store:
            with pytest.raises(UnavailableError):
                await store.get(MESSAGE, NAME, 0)
            assert await store.get(MESSAGE, NAME, 0) == content


async def has_time(store: ObjectStore, address: str, bucket: str, home: Path) -> None:
    """From now on the same store waits for a service that is slow because its machine is busy."""
    store._settings = bucket_settings(address, bucket, home, retries=0, timeout_s=WITHIN_S)
    await store.open()


@pytest.mark.parametrize("trouble", ["drip", "hang"])
async def test_a_service_that_brings_a_byte_in_a_while_or_nothing_is_left_and_nothing_of_it_taken(
    service: str, bucket: str, tmp_path: Path, trouble: str
) -> None:
    content = b"s" * 100_000
    async with opened(ObjectStore(bucket_settings(service, bucket, tmp_path), tmp_path)) as store:
        await store.put(MESSAGE, [segment(0, content)])
    with troubled(service, [trouble]) as address:
        settings = bucket_settings(address, bucket, tmp_path, retries=0, timeout_s=1)
        async with opened(ObjectStore(settings, tmp_path)) as store, asyncio.timeout(WITHIN_S):
            with pytest.raises(UnavailableError):
                await store.get(MESSAGE, NAME, 0)
            await has_time(store, address, bucket, tmp_path)
            assert await store.get(MESSAGE, NAME, 0) == content


@pytest.mark.parametrize("trouble", ["drop", "hang", "cut", 503])
async def test_a_put_without_a_whole_answer_does_not_count_and_may_be_repeated(
    service: str, bucket: str, tmp_path: Path, trouble: str | int
) -> None:
    """Whether the service kept it or not: the same bytes come again, and other segments went on meanwhile."""
    content = b"s" * 300_000
    with troubled(service, [trouble]) as address:
        # Only of a service that hangs has the end to be waited for: the others have all the time of a busy machine.
        timeout_s = 2 if trouble == "hang" else WITHIN_S
        settings = bucket_settings(address, bucket, tmp_path, retries=0, timeout_s=timeout_s)
        async with opened(ObjectStore(settings, tmp_path)) as store, asyncio.timeout(WITHIN_S):
            if trouble == "cut":  # of an answer without a body there is nothing to cut
                await store.put(MESSAGE, [segment(0, content)])
            else:
                with pytest.raises(UnavailableError):
                    await store.put(MESSAGE, [segment(0, content)])
            await has_time(store, address, bucket, tmp_path)
            await store.put(MESSAGE, [segment(0, content), segment(1, content)])
            assert [await store.get(MESSAGE, NAME, index) for index in (0, 1)] == [content] * 2


async def test_a_service_that_nobody_answers_for_passes_too(tmp_path: Path) -> None:
    settings = bucket_settings("http://127.0.0.1:9", "bucket", tmp_path, retries=0)
    async with opened(ObjectStore(settings, tmp_path)) as store:
        for ask in (store.put(MESSAGE, [segment(0)]), store.held(MESSAGE), store.messages(), store.usage(MESSAGE)):
            with pytest.raises(UnavailableError):
                await ask


@pytest.mark.parametrize("content", [None, "", "only-one-line", "one two three"])
async def test_credentials_that_are_none_are_named_and_never_shown(tmp_path: Path, content: str | None) -> None:
    settings = bucket_settings("http://127.0.0.1:9", "bucket", tmp_path)
    file = tmp_path / "s3-credentials"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(SettingsError, match="s3-credentials") as refused:
        await ObjectStore(settings, tmp_path).open()
    assert content is None or not content or content not in str(refused.value)
    assert SECRET not in repr(settings)
