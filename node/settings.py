"""A node's home folder and its settings: ``node.toml`` in it, overridden by ``COMITY_NODE_*`` in the environment.

Nested settings are written ``COMITY_NODE_LIMITS__DESK_REQUESTS_PER_S``. No setting is a secret: the passphrase is read
from a file that a setting names.
"""

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from keys.directory.cards import NodeName
from keys.secrets.keystore import FILE_NAME
from protocol.errors import HomeNotPrivateError, SettingsError


def _check_port(where: str) -> str:
    if split_host_port(where)[1] > _MAX_PORT:
        raise ValueError(f"a port is a number up to {_MAX_PORT}")
    return where


_MAX_PORT = 65_535
HostPort = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$", max_length=260),
    AfterValidator(_check_port),
]


@dataclass(frozen=True, slots=True)
class NodeHome:
    """The files of a node's home folder."""

    path: Path

    def require_private(self) -> None:
        """Return if nobody but its owner may enter the home; raises :class:`HomeNotPrivateError`."""
        try:
            mode = self.path.stat().st_mode & 0o777
        except OSError as problem:
            raise SettingsError(f"cannot look at {self.path}: {problem.strerror}") from problem
        if mode & 0o077:
            raise HomeNotPrivateError(f"{self.path} has the mode {mode:04o}: others may look into it")

    @property
    def settings(self) -> Path:
        """The settings."""
        return self.path / "node.toml"

    @property
    def keystore(self) -> Path:
        """The encrypted keys."""
        return self.path / FILE_NAME

    @property
    def card(self) -> Path:
        """The node's card, for the nation's key holders to sign."""
        return self.path / "card.json"

    @property
    def bootstrap(self) -> Path:
        """The bootstrap file the node began with."""
        return self.path / "bootstrap.json"

    @property
    def directory(self) -> Path:
        """The verified directory metadata."""
        return self.path / "directory"

    @property
    def served(self) -> Path:
        """The directory files that this node serves."""
        return self.path / "served"

    @property
    def nonces(self) -> Path:
        """The journal of requests seen."""
        return self.path / "nonces"

    @property
    def bundles(self) -> Path:
        """What is to be answered to bundles that were imported."""
        return self.path / "bundles"

    @property
    def hands(self) -> Path:
        """Through whose hands evidence files went that were carried."""
        return self.path / "bundles" / "hands"

    @property
    def monitor(self) -> Path:
        """What is proved of the partners' logs."""
        return self.path / "monitor.cbor"

    @property
    def cosigned(self) -> Path:
        """The newest checkpoint of this node's log that enough partners cosigned."""
        return self.path / "cosigned-checkpoint"

    @property
    def history(self) -> Path:
        """What happened lately, as the operator asks for it."""
        return self.path / "history.cbor"

    @property
    def backups(self) -> Path:
        """Which backups were made, checked and tried out."""
        return self.path / "backups.json"

    @property
    def console_name(self) -> Path:
        """The part of the console's address that other users of this machine do not know."""
        return self.path / "console-name"

    @property
    def misbehaviour(self) -> Path:
        """The proofs that logs lied."""
        return self.path / "misbehaviour"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


Rate = Annotated[float, Field(gt=0, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class DirectorySettings(_Table):
    """Where the directory comes from: ``folder`` (a ceremony's) first, then the nodes ``upstream``, then partners."""

    refresh_s: Seconds = 300
    folder: Path | None = None
    upstream: tuple[NodeName, ...] = ()


Count = Annotated[int, Field(ge=1, le=100_000)]
ByteCount = Annotated[int, Field(ge=64 * 1024, le=1 << 40)]


class LimitSettings(_Table):
    """What one caller may ask for. Costs: a request is 1, and every further envelope or statement in it 1/16; its body
    costs its bytes.

    ``unknown_connections`` are those on which nobody has authenticated yet, of one IPv4 address or IPv6 /64 at most
    ``unknown_connections_per_network``. All that says "per key" is about one holder of keys, desk or node.
    """

    desk_requests_per_s: Rate = 200
    desk_burst: Rate = 1_000
    partner_requests_per_s: Rate = 1_000
    partner_burst: Rate = 5_000
    desk_bytes_per_s: ByteCount = 8 * 1024 * 1024
    desk_bytes_burst: ByteCount = 64 * 1024 * 1024
    partner_bytes_per_s: ByteCount = 32 * 1024 * 1024
    partner_bytes_burst: ByteCount = 256 * 1024 * 1024
    failures_per_s: Rate = 5
    failures_burst: Rate = 200
    body_timeout_s: Seconds = 20
    idle_timeout_s: Seconds = 30
    handshake_timeout_s: Seconds = 10
    unknown_connections: Count = 1_024
    unknown_connections_per_network: Count = 256
    connections_per_key: Count = 64
    requests_at_once: Count = 512
    requests_per_key: Count = 64
    body_bytes_at_once: ByteCount = 96 * 1024 * 1024
    body_bytes_per_key: ByteCount = 24 * 1024 * 1024
    polls_per_desk: Annotated[int, Field(ge=1, le=1_000)] = 16


class DeliverySettings(_Table):
    """How partners are asked again: exponential back-off with full jitter up to ``max_backoff_s``.

    Their logs are checked every ``monitor_s`` seconds; they are asked to cosign this log at most every ``cosign_s``.
    """

    timeout_s: Seconds = 30
    first_backoff_s: Seconds = 1
    max_backoff_s: Seconds = 60
    requests_at_once: Annotated[int, Field(ge=1, le=16)] = 4
    monitor_s: Seconds = 60
    cosign_s: Seconds = 1

    def pause_s(self, doublings: int) -> float:
        """A random time up to the first back-off doubled so often: so partners that failed together come apart."""
        longest = min(self.max_backoff_s, self.first_backoff_s * 2 ** min(doublings, 30))
        return random.uniform(0, longest)  # noqa: S311 - full jitter, nothing secret


class S3Settings(_Table):
    """The service that keeps segments: ``credentials_file`` has the id of the access key and its secret, a line each.

    A path is below the home folder. A request has ``timeout_s`` for all of its answer, and is tried again ``retries``
    times.
    """

    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=255)]
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    credentials_file: Path
    region: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "us-east-1"
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/._-]{0,128}$")] = "comity"
    retries: Annotated[int, Field(ge=0, le=10)] = 4
    timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 30


class FilesSettings(_Table):
    """Evidence files in transit: where their segments lie, whose they may be, how fast they go, how long they stay.

    ``folder`` is below the home folder. Of its disk ``reserve_bytes`` are left free. A sender's files in transit are at
    most ``desk_quota_bytes``, those that one partner brought ``partner_quota_bytes``, of one message ``max_set_bytes``.
    ``partner_bytes_per_s`` is how fast files go to one partner (None: as fast as they can) in ``requests_at_once``
    requests. Room that was reserved is given to others when nothing comes for ``reserved_h``. One caller may bring
    ``caller_bytes_per_s``; a body has its own time, and more at ``slowest_bytes_per_s``.
    """

    store: Literal["folder", "s3"] = "folder"
    folder: Path = Path("files")
    s3: S3Settings | None = None
    reserve_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = 1 << 30
    max_set_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 53)] = 1 << 42
    desk_quota_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 53)] = 1 << 41
    partner_quota_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 53)] = 1 << 42
    partner_bytes_per_s: Annotated[int, Field(ge=16 * 1024, le=1 << 40)] | None = None
    caller_bytes_per_s: ByteCount = 256 * 1024 * 1024
    caller_bytes_burst: ByteCount = 1024 * 1024 * 1024
    slowest_bytes_per_s: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 * 1024
    body_bytes_at_once: ByteCount = 48 * 1024 * 1024
    body_bytes_per_key: ByteCount = 16 * 1024 * 1024
    requests_at_once: Annotated[int, Field(ge=1, le=16)] = 3
    retention_h: Annotated[int, Field(ge=0, le=24 * 366)] = 24
    reserved_h: Annotated[int, Field(ge=1, le=24 * 366)] = 24

    @model_validator(mode="after")
    def _has_its_service(self) -> Self:
        if self.store == "s3" and self.s3 is None:
            raise ValueError('store = "s3" needs the table s3 beside it')
        return self


class LogSettings(_Table):
    """The life of the log. ``retention_days`` None: entries are kept for ever.

    ``boot_folder`` is on a RAM file system, empty after a restart of the machine; the home folder itself is none.
    """

    retention_days: Annotated[int, Field(ge=1, le=36_600)] | None = None
    ask_witnesses_at_start: bool = True
    boot_folder: Path = Path("/dev/shm")  # noqa: S108 - what lies there is checked for who put it there


class NodeSettings(BaseSettings):
    """All settings of one node. Relative paths are below the home folder.

    ``listen`` is one address or several; ``[::]`` is every address of both families. It is empty for a node that takes
    no connection at all; it then pulls from its relay. ``offline`` is for a
    node without a network: it makes no connection either, and is reached by bundles. ``allow_networks`` are those of
    this machine and its surroundings that partners may be reached in; the public network needs no leave.
    """

    model_config = SettingsConfigDict(
        env_prefix="COMITY_NODE_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    node: NodeName
    listen: HostPort | Literal[""] | tuple[HostPort, ...] = "[::]:8443"
    admin: HostPort | Literal[""] = "127.0.0.1:9443"
    authorities: tuple[HostPort, ...] = ()
    passphrase_file: Path | None = None
    token_file: Path | None = None
    database: Path = Path("node.sqlite")
    checkpoint_file: Path = Path("log-checkpoint")
    allow_networks: tuple[IPvAnyNetwork, ...] = ()
    retention_days: Annotated[int, Field(ge=1, le=3_660)] = 30
    housekeeping_s: Seconds = 10
    control: Path = Path("control.sock")
    offline: bool = False
    stop_timeout_s: Seconds = 15
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log: LogSettings = Field(default_factory=LogSettings)
    directory: DirectorySettings = Field(default_factory=DirectorySettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    files: FilesSettings = Field(default_factory=FilesSettings)

    @property
    def listeners(self) -> tuple[str, ...]:
        """Where the node listens."""
        if isinstance(self.listen, str):
            return (self.listen,) if self.listen else ()
        return self.listen

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the file, which comes in as arguments."""
        return (env_settings, init_settings)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file and the environment; raises :class:`SettingsError`."""
        try:
            return cls.of(tomllib.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            text = f"{path.parent} is not a node's home: name one, or make one with comity-node init"
            raise SettingsError(text) from None
        except OSError as problem:
            raise SettingsError(f"cannot read {path}: {problem.strerror}") from problem
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise SettingsError(f"{path} is not TOML: {problem}") from problem

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Settings from plain values and the environment; raises :class:`SettingsError`."""
        try:
            return cls(**values)
        except ValidationError as problem:
            wrong = "; ".join(
                f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
                for error in problem.errors(include_input=False, include_url=False)
            )
            raise SettingsError(f"the settings cannot be used: {wrong}") from None


def split_host_port(text: str) -> tuple[str, int]:
    """``("127.0.0.1", 8443)`` of ``127.0.0.1:8443``; an IPv6 address loses its brackets."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
