"""A desk's home folder: which files it has, and the settings in ``settings.toml``.

The home holds ``keystore.cbor`` (encrypted), ``desk.sqlite`` (sealed), ``content-keys.bin`` (of no use without the
keystore), ``files/`` (sealed), ``officers/`` (encrypted), ``directory/`` (public, verified), ``bootstrap.json`` and
``records.checkpoint`` (public) and ``settings.toml``, which a person may edit and which holds no secret. Beside them
lie empty lock files, by which the programs that work on one home keep out of each other's way.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from keys.directory.cards import Line
from keys.local.files import write_file
from keys.secrets.keystore import FILE_NAME
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import InvalidAddressError, SettingsError

_DAY_S = 24 * 3600
# Words of tomllib about a heading or a name that stands there already.
_TWICE = re.compile("twice|overwrite|already")
_HOST = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"


@dataclass(frozen=True, slots=True)
class Home:
    """The files of a desk's home folder."""

    path: Path

    @property
    def keystore(self) -> Path:
        """The encrypted keys."""
        return self.path / FILE_NAME

    @property
    def database(self) -> Path:
        """The desk's database."""
        return self.path / "desk.sqlite"

    @property
    def files(self) -> Path:
        """The folder of sealed files."""
        return self.path / "files"

    @property
    def directory(self) -> Path:
        """The folder of verified directory metadata."""
        return self.path / "directory"

    @property
    def bootstrap(self) -> Path:
        """The bootstrap file the desk began with."""
        return self.path / "bootstrap.json"

    @property
    def settings(self) -> Path:
        """The settings."""
        return self.path / "settings.toml"

    @property
    def codes(self) -> Path:
        """The folder of code lists that the nation or the network adds."""
        return self.path / "codes"

    @property
    def templates(self) -> Path:
        """The folder of templates that the office keeps."""
        return self.path / "templates"

    @property
    def officers(self) -> Path:
        """The folder of the officers' key files."""
        return self.path / "officers"

    @property
    def records_head(self) -> Path:
        """The last signed head of the processing log."""
        return self.path / "records.checkpoint"

    @property
    def mirrors(self) -> Path:
        """The folder of an auditor's mirrors, each named as its node."""
        return self.path / "mirrors"

    @property
    def misbehaviour(self) -> Path:
        """The folder of proofs that logs lied."""
        return self.path / "misbehaviour"

    @property
    def enrolment(self) -> Path:
        """The enrolment request: the card that the nation signs."""
        return self.path / "enrolment.json"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class OfficerSettings(_Table):
    """Who answers for messages unless a draft says otherwise, and how to reach that person (E.164, e-mail)."""

    name: Line
    role: Line
    telephone: str | None = None
    email: str | None = None


class AuthoritySettings(_Table):
    """The desk's own authority, as the forms ask for it; what is left out is taken from the desk's card."""

    organisation: Line | None = None
    country: Line | None = None
    office: Line | None = None
    person_in_charge: Line | None = None
    address: Line | None = None
    telephone: Line | None = None
    mobile: Line | None = None
    fax: Line | None = None
    email: Line | None = None
    office_hours: Line | None = None
    time_zone: Line | None = None
    preferred_means: Line | None = None


class ConfirmationSettings(_Table):
    """Who confirms a request when it is called (T-CY(2018)11 item 6); without it, the officer."""

    name: Line
    job_title: Line | None = None
    function: Line | None = None
    telephone: Line | None = None
    mobile: Line | None = None
    email: Line | None = None


class Lifetimes(_Table):
    """Seconds until a message that was not delivered expires, by urgency: its sender then sees the failure."""

    routine_s: Annotated[int, Field(ge=60, le=366 * _DAY_S)] = 14 * _DAY_S
    urgent_s: Annotated[int, Field(ge=60, le=366 * _DAY_S)] = 3 * _DAY_S
    emergency_s: Annotated[int, Field(ge=60, le=366 * _DAY_S)] = _DAY_S

    def of(self, urgency: str) -> int:
        """The lifetime for an urgency; one that is not known is taken as urgent."""
        return {"routine": self.routine_s, "emergency": self.emergency_s}.get(urgency, self.urgent_s)


class ContactTestSettings(_Table):
    """When a contact test counts as not replied to, and when an old reply says nothing any more."""

    reply_within_h: Annotated[int, Field(ge=1, le=14 * 24)] = 24
    stale_after_days: Annotated[int, Field(ge=1, le=366)] = 35


_MailAddress = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]


class EmailSettings(_Table):
    """Where mail without content goes: the SMTP server (STARTTLS, unless it is on this machine), sender, recipients."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    starttls: bool = True
    sender: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    to: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)], ...],
        Field(min_length=1, max_length=16),
    ]

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        if not self.starttls and self.host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("mail leaves this machine with starttls only")
        return self


_WebhookUrl = Annotated[
    str, Field(pattern=r"^(https://[^\s]+|http://(127\.0\.0\.1|localhost)[:/][^\s]*)$", max_length=2000)
]


class NotifySettings(_Table):
    """Who is told of deadlines besides the desk itself: webhooks (https, or http on this machine).

    ``webhook_secret`` counts the secrets by which notices are signed: another number gives every receiver another one.
    """

    webhook: _WebhookUrl | None = None
    webhooks: Annotated[tuple[_WebhookUrl, ...], Field(max_length=8)] = ()
    webhook_secret: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class OfficeSettings(_Table):
    """What the office asks of its officers.

    ``four_eyes``: the message types that another officer than the drafter releases, or ``all``. ``justification``:
    whether each consultation, and each disclosure that is not a message, needs a reason in words.
    ``emergency_call_back``: whether the asking office is called back before anything is disclosed in an emergency.
    """

    four_eyes: Annotated[
        tuple[Annotated[str, Field(pattern="^[a-z][a-z0-9._-]{0,63}$")], ...], Field(max_length=64)
    ] = ()
    justification: Literal["optional", "required"] = "optional"
    emergency_call_back: Literal["optional", "required"] = "required"


class SiblingSettings(_Table):
    """How what is asked of several nations is kept apart, so that none learns of the others.

    Each nation's message goes at an instant of its own within so many seconds, by urgency: 0 sends all at once, and who
    compares times then sees that they belong together. ``every_request``: what is asked of one nation goes the same
    way, so that none shows whether it has siblings.
    """

    routine_s: Annotated[int, Field(ge=0, le=_DAY_S)] = 900
    urgent_s: Annotated[int, Field(ge=0, le=_DAY_S)] = 120
    emergency_s: Annotated[int, Field(ge=0, le=3600)] = 0
    every_request: bool = False

    def of(self, urgency: str) -> int:
        """The seconds for an urgency; one that is not known is taken as urgent."""
        return {"routine": self.routine_s, "emergency": self.emergency_s}.get(urgency, self.urgent_s)


class LetterheadSettings(_Table):
    """The lines at the head of printed letters; without them, those of the office's card in the directory."""

    lines: Annotated[tuple[Line, ...], Field(max_length=8)] = ()


class RetentionSettings(_Table):
    """How long content is kept after the last message of a case that ended; without a number, until a person erases."""

    cases_days: Annotated[int, Field(ge=1, le=36_600)] | None = None
    refused_days: Annotated[int, Field(ge=1, le=36_600)] | None = None


class EvidenceFilesSettings(_Table):
    """Evidence files: which are fetched by themselves, and how many requests move one message's at a time.

    ``fetch``: ``all``, or ``asked`` (only by ``comity files get``). ``fetch_up_to_mb``: a message with more than that
    waits until somebody asks for it. ``unsent_days``: so long a sealed file is kept that a draft names and no message.
    ``hash_only``: whether a file that is labelled to be exchanged by its hash alone may be had all the same: ``never``,
    or where two officers decided so of that file (``two_officers``).
    """

    fetch: Literal["all", "asked"] = "all"
    fetch_up_to_mb: Annotated[int, Field(ge=1, le=10_000_000_000)] | None = None
    requests_at_once: Annotated[int, Field(ge=1, le=8)] = 3
    unsent_days: Annotated[int, Field(ge=1, le=366)] = 30
    hash_only: Literal["never", "two_officers"] = "never"


class ServiceSettings(_Table):
    """The desk as a service: minutes of doing nothing until an officer is signed out, and the folder of its sockets
    where the home's own path is too long.
    """

    idle_min: Annotated[int, Field(ge=1, le=24 * 60)] = 15
    run_folder: Annotated[str, Field(pattern="^/", max_length=90)] | None = None


class OidcSettings(_Table):
    """The agency's identity provider (OpenID Connect Core 1.0), which says who an officer is and opens no key.

    ``client_secret_file`` holds the client's secret and is this user's alone; without it the client is a public one.
    ``ca`` is a PEM file with the authority of the provider's certificate, where the system's do not vouch for it.
    ``claim`` is what names a person for good; other claims than ``sub`` may need ``scopes`` besides ``openid``.
    ``in_place_of_codes``: the agency's word counts where a code of an app would. ``required``: without it nobody signs
    in by a passphrase or a passkey.
    """

    issuer: Annotated[
        str,
        Field(
            pattern=r"^(https://[^\s?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[^\s?#@]*)?)$",
            max_length=300,
        ),
    ]
    client_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=200)]
    client_secret_file: Annotated[str, Field(pattern="^/", max_length=1000)] | None = None
    ca: Annotated[str, Field(pattern="^/", max_length=1000)] | None = None
    claim: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._:/-]{0,99}$")] = "sub"
    scopes: Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,100}$")], ...], Field(max_length=8)] = ()
    in_place_of_codes: bool = False
    required: bool = False

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        if "offline_access" in self.scopes:
            raise ValueError("the agency is asked once for each signing in: offline_access is no scope of a desk")
        return self


class WebSettings(_Table):
    """The desk's pages for browsers: whether they are served, and where.

    On this machine alone (``listen`` is loopback) there is no TLS, and the name is the desk's own. For an agency's
    network ``name``, ``certificate`` and ``key`` (PEM files, the key this user's alone) are wanted. Without a ``port``
    it is 443 there, and here the first free one from 8470 on. ``require_factor``: a passphrase alone signs nobody in.
    ``upload_up_to_mb``: no longer file is taken out of a browser; without it any that the disk has room for.

    ``address``: on this machine alone the name is a new one at each start (``each_start``), so that a page of before,
    which may have asked another program meanwhile, is of another origin. Where it ``stays``, bookmarks stay good and
    that gap is open. By TLS the name is the agency's, and stays. ``oidc`` is the agency's identity provider: it leads
    browsers back to one address, so that name and port are fixed.
    """

    enabled: bool = True
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    listen: Annotated[str, Field(pattern=r"^[0-9a-f.:]{2,45}$")] = "127.0.0.1"
    name: Annotated[str, Field(pattern=_HOST, max_length=253)] | None = None
    certificate: Annotated[str, Field(pattern="^/")] | None = None
    key: Annotated[str, Field(pattern="^/")] | None = None
    address: Literal["each_start", "stays"] = "each_start"
    require_factor: bool = False
    upload_up_to_mb: Annotated[int, Field(ge=1, le=10_000_000_000)] | None = None
    oidc: OidcSettings | None = None

    @property
    def is_new_each_start(self) -> bool:
        """Whether the pages have another name at each start."""
        return self.certificate is None and self.address == "each_start"

    @model_validator(mode="after")
    def _is_found_again(self) -> Self:
        if self.oidc is not None and self.port is None and self.certificate is None:
            raise ValueError("with oidc the pages need a port: the agency leads browsers back to it")
        if self.oidc is not None and self.is_new_each_start:
            raise ValueError(
                "with oidc the pages need an address that stays: the agency leads browsers back to it. Give them a name"
                ' with TLS, or set address = "stays" under [web] (the officer guide says what that leaves open)'
            )
        return self

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if self.name is not None and "address" in self.model_fields_set and self.address == "each_start":
            raise ValueError("a name of the pages that is set by hand stays: leave address out")
        return self

    @model_validator(mode="after")
    def _by_tls_off_loopback(self) -> Self:
        given = [one is not None for one in (self.name, self.certificate, self.key)]
        if any(given) and not all(given):
            raise ValueError("name, certificate and key of the pages go together")
        if not ip_address(self.listen).is_loopback and not all(given):
            raise ValueError("pages beyond this machine need name, certificate and key: there is no plain HTTP")
        return self


class ScanningSettings(_Table):
    """What happens to files of others before they are opened or exported, and who looks at them: in the clear.

    ``policy``: only files that are clean leave (``block``), all do and it is said what was found (``warn``), or no
    scanner is asked (``off``). ``clamd`` is the path of its Unix socket; ``icap`` the URL of a service on this machine,
    or behind TLS (``icaps``; ``icap_ca`` is a PEM file with the authority of its certificate, where the system's do not
    vouch for it). A file longer than ``max_bytes`` is given to no scanner: it is the least of the scanners'
    own limits, beyond which they say that a file is clean without having looked at it.
    """

    policy: Literal["block", "warn", "off"] = "off"
    clamd: Annotated[str, Field(pattern="^/", max_length=100)] | None = None
    icap: (
        Annotated[
            str,
            Field(
                pattern=r"^(icaps://[A-Za-z0-9.-]+|icap://(127\.0\.0\.1|localhost))(:[0-9]{1,5})?/[A-Za-z0-9._~/?=&-]+$",
                max_length=300,
            ),
        ]
        | None
    ) = None
    icap_ca: Annotated[str, Field(pattern="^/", max_length=1000)] | None = None
    max_bytes: Annotated[int, Field(ge=1, le=2**53 - 1)] = 25 * 2**20
    timeout_s: Annotated[int, Field(ge=1, le=3600)] = 60

    @model_validator(mode="after")
    def _somebody_looks(self) -> Self:
        if self.policy != "off" and self.clamd is None and self.icap is None:
            raise ValueError("name a scanner: clamd or icap")
        return self


class DeskSettings(_Table):
    """All settings. ``node_url`` is needed only where the desk reaches its node by another address than partners do.

    With ``transport = "file"`` the desk opens no connection: it reaches its node by bundles alone. ``nations`` says
    whose cards the desk keeps: of those it was asked for, or of all, so that it can seal to anyone while its node is
    away. ``language`` (BCP 47) is that in which this office writes. It, the ``authority`` and the
    ``confirmation_contact`` are filled in where a draft leaves them out.
    """

    address: str
    node_url: Annotated[str, Field(pattern=r"^https://[^\s/?#@]+$", max_length=256)] | None = None
    directory_refresh_s: Annotated[int, Field(ge=1, le=30 * _DAY_S)] = 3600
    request_timeout_s: Annotated[int, Field(ge=1, le=600)] = 30
    transport: Literal["https", "file"] = "https"
    nations: Literal["asked", "all"] = "asked"
    language: Annotated[str, Field(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35)] = "en"
    officer: OfficerSettings | None = None
    authority: AuthoritySettings | None = None
    confirmation_contact: ConfirmationSettings | None = None
    lifetimes: Lifetimes = Field(default_factory=Lifetimes)
    contact_tests: ContactTestSettings = Field(default_factory=ContactTestSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    email: EmailSettings | None = None
    office: OfficeSettings = Field(default_factory=OfficeSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    letterhead: LetterheadSettings = Field(default_factory=LetterheadSettings)
    siblings: SiblingSettings = Field(default_factory=SiblingSettings)
    service: ServiceSettings = Field(default_factory=ServiceSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    files: EvidenceFilesSettings = Field(default_factory=EvidenceFilesSettings)
    scanning: ScanningSettings = Field(default_factory=ScanningSettings)

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        try:
            return str(Address.parse(address))
        except InvalidAddressError as problem:
            raise ValueError(problem.detail) from problem

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises :class:`SettingsError`."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            raise SettingsError(f"{path.parent} is not a desk's home: name one, or make one with comity init") from None
        except OSError as problem:
            raise SettingsError(f"cannot read {path}: {problem.strerror}") from problem
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            if _TWICE.search(str(problem)):
                text = phrase(
                    "{path}: a section or a name stands in it twice ({problem}); put a section under one heading",
                    path=path,
                    problem=problem,
                )
                raise SettingsError(text) from problem
            raise SettingsError(f"{path} is not TOML: {problem}") from problem
        except ValidationError as problem:
            found = problem.errors(include_input=False)
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)
            if any(e["type"] == "extra_forbidden" and cls._is_of_no_section(e["loc"]) for e in found):
                text = phrase("{path}: {wrong}; this name stands before the first section", path=path, wrong=wrong)
                raise SettingsError(text) from None
            raise SettingsError(f"{path}: {wrong}") from None

    @classmethod
    def _is_of_no_section(cls, place: tuple[int | str, ...]) -> bool:
        """Whether a name that a section does not know is one that belongs to none."""
        return len(place) == 2 and str(place[1]) in cls.model_fields

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all, without defaults: a section that is added by hand stands once."""
        write_file(path, _to_toml(self.model_dump(exclude_none=True, exclude_defaults=True)).encode(), mode=0o600)


def _to_toml(values: dict[str, Any]) -> str:
    return "\n".join(_lines(values)) + "\n"


def _lines(values: dict[str, Any], within: str = "") -> list[str]:
    """The lines of a table, and of the tables in it, whose names begin with ``within``."""
    lines = [f"{name} = {_value(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{within}{name}]", *_lines(table, f"{within}{name}.")]
    return lines


def _value(value: str | int | tuple[str, ...]) -> str:
    # JSON of a string, number, boolean or list of strings is TOML, except for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
