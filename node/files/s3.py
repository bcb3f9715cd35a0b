"""The store of segments at a service that speaks S3: ``PREFIX/MESSAGE/NAME/INDEX``, all in hexadecimal but the index.

Objects are put whole and without conditions, which some services refuse: a segment proves itself, so that a repeat is
the same bytes. A put that was answered is durable, as the service promises it. Errors of the service and of the network
pass: the client tries again for a while, and then the caller is told to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from node.files.store import KEY_BYTES, SegmentObject
from node.settings import S3Settings
from node.store.disk_errors import Report, unreported
from protocol.errors import NotFoundError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")

# Requests to the service at the same time.
_AT_ONCE = 16
_DELETE_AT_ONCE = 500
_RETRY_FOR = timedelta(seconds=20)


class ObjectStore:
    """A :class:`~node.files.store.FileStore` in a bucket."""

    def __init__(self, settings: S3Settings, home: Path, *, report: Report = unreported) -> None:
        self._settings = settings
        self._home = home
        self._report = report
        self._prefix = settings.prefix.strip("/")
        self._opened: S3Store | None = None
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """See :class:`~node.files.store.FileStore`."""
        from obstore.store import S3Store

        settings = self._settings
        key_id, secret = _credentials(self._home / settings.credentials_file)
        timeout = timedelta(seconds=settings.timeout_s)
        with self._service("opened"):
            self._opened = S3Store(
                settings.bucket,
                endpoint=settings.endpoint,
                region=settings.region,
                access_key_id=key_id,
                secret_access_key=secret,
                virtual_hosted_style_request=False,
                client_options={"timeout": timeout, "allow_http": settings.endpoint.startswith("http://")},
                retry_config={"max_retries": settings.retries, "retry_timeout": _RETRY_FOR},
            )

    async def close(self) -> None:
        """See :class:`~node.files.store.FileStore`."""
        self._opened = None

    async def put(self, message: bytes, segments: Sequence[SegmentObject]) -> None:
        """See :class:`~node.files.store.FileStore`."""
        import obstore

        bucket = self._bucket

        async def one(segment: SegmentObject) -> None:
            key = self._key(message, segment.name, segment.index)
            # Some services answer 409 to two writers of one object.
            async with self._writing.setdefault(key, asyncio.Lock()):
                content = b"".join((segment.head, segment.content))
                await obstore.put_async(bucket, key, content, use_multipart=False)

        with self._service("written"):
            await self._all([one(segment) for segment in segments])

    async def get(self, message: bytes, name: bytes, index: int) -> bytes:
        """See :class:`~node.files.store.FileStore`."""
        import obstore

        bucket = self._bucket

        async def read() -> bytes:
            answer = await obstore.get_async(bucket, self._key(message, name, index))
            return bytes(await answer.bytes_async())

        with self._service("read"):
            return (await self._all([read()]))[0]

    async def get_some(self, message: bytes, segments: Sequence[tuple[bytes, int]]) -> Sequence[bytes | None]:
        """See :class:`~node.files.store.FileStore`."""

        async def one(name: bytes, index: int) -> bytes | None:
            try:
                return await self.get(message, name, index)
            except NotFoundError:
                return None

        return await asyncio.gather(*(one(name, index) for name, index in segments))

    async def held(self, message: bytes) -> Mapping[bytes, Sequence[int]]:
        """See :class:`~node.files.store.FileStore`."""
        found: dict[bytes, list[int]] = {}
        async for key, _ in self._listed(message):
            *_, name, index = key.split("/")
            found.setdefault(bytes.fromhex(name), []).append(int(index))
        return found

    async def drop(self, message: bytes, name: bytes, index: int) -> None:
        """See :class:`~node.files.store.FileStore`."""
        await self._remove([self._key(message, name, index)])

    async def delete(self, message: bytes) -> None:
        """See :class:`~node.files.store.FileStore`."""
        keys = [key async for key, _ in self._listed(message)]
        for first in range(0, len(keys), _DELETE_AT_ONCE):
            await self._remove(keys[first : first + _DELETE_AT_ONCE])

    async def _remove(self, keys: list[str]) -> None:
        import obstore

        bucket = self._bucket

        async def one(key: str) -> None:
            try:
                await obstore.delete_async(bucket, key)
            except FileNotFoundError:
                return  # it is gone, as it should be

        with self._service("deleted"):
            await self._all([one(key) for key in keys])

    async def messages(self) -> Sequence[bytes]:
        """See :class:`~node.files.store.FileStore`."""
        import obstore

        with self._service("listed"):
            listed = await obstore.list_with_delimiter_async(self._bucket, self._prefix or None)
        names = [prefix.rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"]]
        return [bytes.fromhex(name) for name in names if len(name) == 2 * KEY_BYTES]

    async def usage(self, message: bytes) -> int:
        """See :class:`~node.files.store.FileStore`."""
        return sum([size async for _, size in self._listed(message)])

    async def room(self) -> int | None:
        """See :class:`~node.files.store.FileStore`: a service does not say."""
        return None

    # --- Inside -------------------------------------------------------------------------------------------------------

    @property
    def _bucket(self) -> S3Store:
        if self._opened is None:
            raise UnavailableError("the store of files is not open")
        return self._opened

    def _key(self, message: bytes, name: bytes, index: int) -> str:
        if len(name) != KEY_BYTES or index < 0:
            raise ValueError("a segment is named by 32 bytes and an index")
        return f"{self._folder(message)}/{name.hex()}/{index}"

    def _folder(self, message: bytes) -> str:
        if len(message) != KEY_BYTES:
            raise ValueError("a message is named by a digest of 32 bytes")
        return "/".join(part for part in (self._prefix, message.hex()) if part)

    async def _listed(self, message: bytes) -> AsyncIterator[tuple[str, int]]:
        import obstore

        with self._service("listed"):
            async for page in obstore.list(self._bucket, self._folder(message), chunk_size=1_000):
                for entry in page:
                    yield entry["path"], entry["size"]

    async def _all(self, requests: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """The answers to all, some at once; when one fails, what was begun ends before that is told."""

        async def in_turn(request: Coroutine[Any, Any, T]) -> T:
            async with self._at_once:
                return await request

        answers = await asyncio.gather(*map(in_turn, requests), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    @contextmanager
    def _service(self, done: str) -> Iterator[None]:
        """Errors of the service as this node's; the texts of the service may hold addresses, and go no further."""
        from obstore.exceptions import BaseError

        use = "reading" if done in ("read", "listed") else "writing"
        place = Path(self._settings.bucket)
        try:
            yield
        except FileNotFoundError:
            raise NotFoundError("this segment is not here") from None
        except (BaseError, OSError) as problem:
            text = f"a file cannot be {done} at the S3 service ({type(problem).__name__})"
            error = UnavailableError(text)
            self._report(place, error, use)
            raise error from problem
        self._report(place, None, use)


def _credentials(path: Path) -> tuple[str, str]:
    """The key's id and the secret, each on a line of its own; raises :class:`SettingsError`."""
    try:
        lines = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"cannot read the credentials for S3 at {path} ({type(problem).__name__})") from problem
    if len(lines) != 2:
        raise SettingsError(f"{path} holds two lines: the id of the access key, and its secret")
    return lines[0], lines[1]
