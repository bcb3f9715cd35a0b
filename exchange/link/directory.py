"""The desk's view of the directory: loaded from its own folder, refreshed from its own node.

The directory's client is blocking and verifies everything itself. It runs in a thread; the one signed client brings it
what the node has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from exchange.settings import DeskSettings, Home
from keys.directory.metadata.client import DISK_FULL
from keys.directory.metadata.repository import MAX_FILE_BYTES
from keys.directory.metadata.shared_client import SharedDirectoryClient
from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from keys.transport.client import BlockingClient, HttpRequest, Reach, Server
from keys.transport.signing import Requester
from protocol.address import Address
from protocol.crypto.signing import Signer
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    NotEnrolledError,
    NotFoundError,
    StorageFullError,
    UnavailableError,
    UnknownContactPointError,
    UnknownNodeError,
)


class DeskDirectory:
    """The directory in use. ``current`` changes with :meth:`refresh` alone. Blocking; one thread at a time.

    ``lean``: as the client of the node has it.
    """

    def __init__(
        self,
        home: Home,
        settings: DeskSettings,
        address: Address,
        signer: Signer,
        clock: Callable[[], datetime],
        *,
        lean: bool = False,
    ) -> None:
        self._lean = lean
        self._settings = settings
        self._address = address
        self._caller = Requester(str(address), signer, clock)
        self._clock = clock
        self._bootstrap = _read_bootstrap(home)
        self._connected: BlockingClient | None = None
        self._last_failure: ComityError | None = None
        self._carried: Mapping[str, bytes] | None = None
        # A desk that gets the directory by bundle cannot ask for a nation when it is needed.
        everything = settings.transport == "file" or settings.nations == "all"
        nations = None if everything else (address.node,)
        self._client = SharedDirectoryClient(home.directory, self._bootstrap.root, self._fetch, nations=nations)

    def close(self) -> None:
        """Close the connection to the node."""
        self._client.close()
        if self._connected is not None:
            self._connected.close()

    @property
    def current(self) -> Directory:
        """The last verified directory; raises :class:`DirectoryUnavailableError` before there was one."""
        if self._client.current is None:
            raise DirectoryUnavailableError("no directory was verified yet")
        return self._client.current

    @property
    def trusted_root(self) -> bytes:
        """The root metadata that everything is verified from: that of the bootstrap file."""
        return self._bootstrap.root

    @property
    def lacks(self) -> bool:
        """Whether something was looked up of a nation that was not read yet, and the next refresh will bring it."""
        return self._client.lacks()

    @property
    def own_node(self) -> str:
        """The node that serves this desk now, by the directory."""
        try:
            return self.current.serving_node(self._address, self._clock())
        except (UnknownContactPointError, UnknownNodeError, DirectoryUnavailableError):
            return self._address.node

    def load(self, carried: Mapping[str, bytes] | None = None) -> Directory:
        """The directory kept in the folder, else the one that was ``carried`` here, else one from the node.

        Raises as :meth:`refresh` does.

        An expired one is loaded too: what is under way goes on. Look at ``Directory.is_stale``.
        """
        try:
            return self._client.load(self._clock(), allow_expired=True)
        except DirectoryUnavailableError:
            return self.install(carried) if carried else self.refresh()

    def load_kept(self) -> Directory:
        """The directory kept in the folder; asks no node. Raises :class:`DirectoryUnavailableError` without one."""
        return self._client.load(self._clock(), allow_expired=True)

    def changed(self) -> bool:
        """Whether another program of this desk brought the directory's folder further than ``current``."""
        return self._client.changed()

    def load_everything(self) -> Directory:
        """The kept directory with all nations whose files are here; raises as :meth:`refresh` does."""
        return self._client.load(self._clock(), allow_expired=True, everything=True)

    def install(self, files: Mapping[str, bytes]) -> Directory:
        """Verify and keep all of the directory files that were carried here; raises as :meth:`refresh` does."""
        self._carried = files
        try:
            return self._client.refresh(self._clock(), everything=True)
        finally:
            self._carried = None

    def refresh(self, *, everything: bool = False) -> Directory:
        """Fetch and verify, with ``everything`` all nations.

        Raises :class:`DirectoryUntrustedError`, :class:`DirectoryUnavailableError`, :class:`StorageFullError`, or what
        the node refused the request with.
        """
        self._last_failure = None
        try:
            return self._client.refresh(self._clock(), everything=everything)
        except DirectoryUnavailableError as problem:
            if isinstance(cause := problem.__cause__, OSError):
                # All was had, and cannot be kept: no answer of the node says so.
                if cause.errno in DISK_FULL:
                    raise StorageFullError(problem.detail) from cause
                raise
            # Why the file could not be had says more than that it could not.
            if isinstance(self._last_failure, UnknownContactPointError):
                # The only contact point in such a request is the one that signed it.
                raise NotEnrolledError(f"the directory has no contact point {self._address} yet") from None
            if self._last_failure is not None:
                raise self._last_failure from None
            raise

    def extract(self, nodes: Iterable[str]) -> dict[str, bytes]:
        """The directory files that vouch for these nations; raises as :meth:`DirectoryClient.extract`."""
        return self._client.extract(nodes)

    def route(self, node: str) -> Server:
        """How to reach ``node``; raises :class:`UnknownNodeError`."""
        own = node == self.own_node
        elsewhere = self._settings.node_url if own else None
        try:
            url = elsewhere or self.current.url(node)
            certificates: Sequence[bytes] = self.current.tls_certificates(node)
        except (UnknownNodeError, DirectoryUnavailableError):
            # Before the first refresh, and for a node that only its own desks can reach.
            if not own:
                raise
            url, certificates = elsewhere or self._bootstrap.url, ()
        if own and not certificates:
            certificates = self._bootstrap.tls_certificates
        return Server(node, url, tuple(certificates))

    def _fetch(self, name: str) -> bytes:
        if self._carried is not None:
            if name not in self._carried:
                raise NotFoundError(f"the bundle has no directory file {name}")
            return self._carried[name]
        try:
            if self._settings.transport == "file":
                raise UnavailableError("this desk reaches its node by bundles only")
            return self._get(f"/directory/{quote(name)}")
        except ComityError as problem:
            self._last_failure = problem
            raise

    def _get(self, path: str) -> bytes:
        request = HttpRequest(path, MAX_FILE_BYTES)
        began_here = self.own_node == self._bootstrap.node
        return self._connection().run(lambda client: client.call_for_proof(request, began_here=began_here))

    def _connection(self) -> BlockingClient:
        server = self.route(self.own_node)
        if self._connected is None or self._connected.server != server:
            if self._connected is not None:
                self._connected.close()
            reach = Reach(self._settings.request_timeout_s, 1, lean=self._lean)
            self._connected = BlockingClient(server, self._caller, reach)
        return self._connected


def _read_bootstrap(home: Home) -> BootstrapFile:
    try:
        return BootstrapFile.from_bytes(home.bootstrap.read_bytes())
    except OSError as problem:
        raise DirectoryUnavailableError(f"cannot read {home.bootstrap}: {problem.strerror}") from problem
