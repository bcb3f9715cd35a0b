"""Files that a person gives to a command: read within a limit, and told apart before anything is made of them.

A person who gives the wrong file learns what it is, which one was wanted, and what to do. A file is known by how it
begins, so one that was cut off is known too. The reader judges a file of an unknown kind.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from keys.local.translation import _
from protocol.errors import ComityError, MalformedError, NonCanonicalError, TooLargeError, UsageError, WrongFileError

T = TypeVar("T")

MAX_FILE_BYTES = 4 * 1024 * 1024
_HEAD_BYTES = 65_536


class FileKind(StrEnum):
    """What a file is, or is wanted to be."""

    DRAFT = "draft"
    FIELDS = "fields"
    ANSWER = "answer"
    TEMPLATE = "template"
    TARGETS = "targets"
    BOOTSTRAP = "bootstrap"
    TRANSFER = "transfer-bundle"
    EVIDENCE = "evidence-bag"
    FORMER_EXPORT = "former-export"
    DISCLOSURE = "disclosure"
    PROOF = "misbehaviour-proof"
    ENTRY_PROOF = "entry-proof"
    CHECKPOINT = "checkpoint"
    POLICY = "policy"
    CEREMONY = "ceremony"
    DIRECTORY_KEY = "directory-key"
    DIRECTORY_FILE = "directory-file"
    NODE_CARD = "node-card"
    CONTACT_POINT_CARD = "contact-point-card"
    LEGAL_PROFILE = "legal-profile"
    KEYSTORE = "keystore"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind
    TOKEN = "token"  # noqa: S105 - the name of a kind
    MANIFEST = "backup-manifest"
    ENVELOPE = "envelope"
    DATABASE = "database"
    CERTIFICATES = "certificates"
    PRIVATE_KEY = "private-key"
    IDENTITY = "signing-identity"
    DER = "der"
    EMPTY = "empty"
    ZEROS = "zeros"
    FOLDER = "folder"
    LINK = "link"
    DEVICE = "device"
    PIPE = "pipe"
    SOCKET = "socket"
    ANY = "any"
    MIRROR = "mirror"
    BACKUP = "backup"
    RECORDS = "records"
    CHAIN = "holder-chain"
    DIRECTORY = "directory"
    PDF = "pdf"
    PICTURE = "picture"
    FILM = "film"
    ARCHIVE = "archive"
    OFFICE = "office"
    MAIL = "mail"
    PAGE = "page"
    UTF_16 = "utf-16"
    JSON = "json"
    TEXT = "text"
    OTHER = "other"


_TEXTS = {
    FileKind.DRAFT: "a draft of a message, as comity new writes it",
    FileKind.FIELDS: "a JSON or YAML object with fields of a draft",
    FileKind.ANSWER: 'a JSON or YAML object with "targets": what became of each',
    FileKind.TEMPLATE: "a template of requests, as comity template export writes it",
    FileKind.TARGETS: "a table of targets, as comity targets template begins it, or a provider's export",
    FileKind.BOOTSTRAP: "a federation's bootstrap file, as comity-node federation bootstrap writes it",
    FileKind.TRANSFER: "a bundle that is carried between a node and its desks, as bundle export writes it",
    FileKind.EVIDENCE: "an evidence bag, as comity evidence bag writes it",
    FileKind.FORMER_EXPORT: "a message in a form that is no longer read: ask for it by comity evidence bag",
    FileKind.DISCLOSURE: "a disclosure of one message, as comity evidence disclose writes it",
    FileKind.PROOF: "a proof that a log lied, as comity audit prove writes it",
    FileKind.ENTRY_PROOF: "a proof that an entry stands in a log (tlog-proof)",
    FileKind.CHECKPOINT: "a log's checkpoint, with its signatures",
    FileKind.POLICY: "the rule whose cosignatures count (tlog-policy)",
    FileKind.CEREMONY: "a ceremony file, as comity-node federation export writes it",
    FileKind.DIRECTORY_KEY: "a holder's public key, as comity-node keys public writes it",
    FileKind.DIRECTORY_FILE: "a published file of the federation's directory",
    FileKind.NODE_CARD: "a node's card, as comity-node card names it",
    FileKind.CONTACT_POINT_CARD: "a contact point's card, as comity init writes it",
    FileKind.LEGAL_PROFILE: "a nation's legal profile, as comity-node cards new-profile begins it",
    FileKind.KEYSTORE: "a keystore, as comity init and comity-node keys create make it",
    FileKind.PASSPHRASE: "a file whose first line is a passphrase",
    FileKind.TOKEN: "a TOML file that names a hardware token: module, token, pin_file",
    FileKind.MANIFEST: "the manifest of a node's backup: give the folder that it lies in",
    FileKind.ENVELOPE: "a sealed envelope of a message",
    FileKind.DATABASE: "a database, which only the program that made it opens",
    FileKind.CERTIFICATES: "certificates in a PEM file",
    FileKind.PRIVATE_KEY: "a private key in a PEM file",
    FileKind.IDENTITY: "a signing key with its certificate, PKCS#12 (.p12) or PEM",
    FileKind.DER: "a file in DER, such as a certificate or a key with it (PKCS#12)",
    FileKind.EMPTY: "empty: what wrote it was broken off, or it is another file",
    FileKind.ZEROS: "nothing but zeros: a copy of it was broken off, or the medium is damaged",
    FileKind.FOLDER: "a folder",
    FileKind.LINK: "a symbolic link: name the file that it points to",
    FileKind.DEVICE: "a device: make an image of it, and name that file",
    FileKind.PIPE: "a pipe, which can be read only once: write it into a file, and name that",
    FileKind.SOCKET: "a socket",
    FileKind.ANY: "a file, whatever is in it",
    FileKind.MIRROR: "the folder of a log, as comity audit mirror or comity-node log export-tiles writes it",
    FileKind.BACKUP: "the folder of a node's backup, as comity-node backup writes it",
    FileKind.RECORDS: "the folder of a processing log, as comity records export writes it",
    FileKind.CHAIN: "the folder of what a holder verified and signed, KEYSTORE.chain",
    FileKind.DIRECTORY: "the folder that the federation's directory is published into",
    FileKind.PDF: "a PDF document",
    FileKind.PICTURE: "a picture",
    FileKind.FILM: "a film or a sound recording",
    FileKind.ARCHIVE: "an archive: take out the file that is wanted",
    FileKind.OFFICE: "a document or table of an office program: save it again as text or CSV, UTF-8",
    FileKind.MAIL: "a mail: save the file that came with it",
    FileKind.PAGE: "a web page: what was to be downloaded was not",
    FileKind.UTF_16: "a text in UTF-16: save it again as UTF-8",
    FileKind.JSON: "a JSON text of a kind that Comity does not have",
    FileKind.TEXT: "a text",
    FileKind.OTHER: "a file of a kind that Comity does not have",
}

# The beginnings of files. The first that fits says what it is.
_BEGINNINGS: tuple[tuple[bytes, FileKind], ...] = (
    (b"comity-bundle/", FileKind.TRANSFER),
    (b"\xa7\x01\x01\x02\x6aargon2id13", FileKind.KEYSTORE),
    (b"\xa5\x01\x71comity/evidence/1", FileKind.FORMER_EXPORT),
    (b"\xa4\x01\x75comity/misbehaviour/1", FileKind.PROOF),
    (b"\xd2\x84", FileKind.ENVELOPE),
    (b"SQLite format 3\0", FileKind.DATABASE),
    (b"%PDF-", FileKind.PDF),
    (b"\x89PNG\r\n", FileKind.PICTURE),
    (b"\xff\xd8\xff", FileKind.PICTURE),
    (b"GIF8", FileKind.PICTURE),
    (b"II*\0", FileKind.PICTURE),
    (b"\x1f\x8b\x08", FileKind.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", FileKind.ARCHIVE),
    (b"Rar!", FileKind.ARCHIVE),
    (b"BZh", FileKind.ARCHIVE),
    (b"\xfd7zXZ\0", FileKind.ARCHIVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind.OFFICE),
    (b"{\\rtf", FileKind.OFFICE),
    (b"ID3\x03", FileKind.FILM),
    (b"ID3\x04", FileKind.FILM),
    (b"\x1a\x45\xdf\xa3", FileKind.FILM),
    (b"RIFF", FileKind.FILM),
    (b"c2sp.org/tlog-proof@", FileKind.ENTRY_PROOF),
)
_SCHEMAS = {
    b"bootstrap": FileKind.BOOTSTRAP,
    b"ceremony": FileKind.CEREMONY,
    b"directory-key": FileKind.DIRECTORY_KEY,
    b"node-card": FileKind.NODE_CARD,
    b"contact-point-card": FileKind.CONTACT_POINT_CARD,
    b"legal-profile": FileKind.LEGAL_PROFILE,
    b"disclosure": FileKind.DISCLOSURE,
    b"node-backup": FileKind.MANIFEST,
}
# The beginnings of a draft's type. That of other programs' JSON is something else, or not the first of the text.
_OF_MESSAGES = frozenset(
    b"acknowledgement answer assistance clarification closure condition confidentiality consent consultation contact"
    b" correction data-protection decision emergency files follow-up forward incident information misdirected note"
    b" out-of-order preservation retract status traffic use withdrawal".split()
)
_SCHEMAS_OF = frozenset(_SCHEMAS.values())
_SCHEMA = re.compile(rb'"(?:schema|format)"\s*:\s*"comity/([a-z-]{1,40})/')
_SIGNED = re.compile(rb'"(?:signatures|signed)"\s*:\s*[\[{]')
_TEMPLATE = re.compile(rb'"template"\s*:\s*"')
_TYPE = re.compile(rb'"type"\s*:\s*"([a-z.-]{1,60})"')
_YAML_TYPE = re.compile(rb"(?m)^type:\s*[\"']?([a-z.-]{1,60})[\"']?\s*$")
_YAML_TEMPLATE = re.compile(rb"(?m)^template:\s*\S")
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_NOTE = re.compile(rb"[^\n]{1,200}\n[0-9]{1,20}\n[A-Za-z0-9+/=]{44}\n(?:[^\n]*\n){0,8}?\n\xe2\x80\x94 ")
_RULES = re.compile(rb"(?m)\A(?:#[^\n]*\n|\s*\n)*(?:log|witness|group|quorum) \S")
_HEADERS = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]{0,60}: [^\n]*\n(?:[ \t][^\n]*\n)*){2}")
_MAIL = re.compile(rb"(?im)^(?:mime-version|received|message-id|return-path):")
_PAGE = re.compile(rb"\s*<(?:!doctype html|html|\?xml)", re.IGNORECASE)
# A file of these kinds is read as the other, which says more: what it lacks is named field by field.
_READ_AS: dict[FileKind, frozenset[FileKind]] = {
    FileKind.DRAFT: frozenset({FileKind.JSON, FileKind.TEXT}),
    FileKind.FIELDS: frozenset({FileKind.JSON, FileKind.TEXT, FileKind.DRAFT}),
    FileKind.ANSWER: frozenset({FileKind.JSON, FileKind.TEXT}),
    FileKind.TEMPLATE: frozenset({FileKind.JSON, FileKind.TEXT, FileKind.DRAFT}),
    FileKind.TARGETS: frozenset({FileKind.JSON, FileKind.TEXT, FileKind.MAIL, FileKind.UTF_16}),
    # The bytes of a passphrase are anything, so only what cannot be one by chance is refused.
    FileKind.PASSPHRASE: frozenset(FileKind)
    - _SCHEMAS_OF
    - {
        *(FileKind.KEYSTORE, FileKind.TRANSFER, FileKind.EVIDENCE, FileKind.PROOF, FileKind.FOLDER),
        *(FileKind.DATABASE, FileKind.PDF, FileKind.DRAFT, FileKind.TEMPLATE, FileKind.CERTIFICATES),
        FileKind.FORMER_EXPORT,
        *(FileKind.PRIVATE_KEY, FileKind.CHECKPOINT, FileKind.ENTRY_PROOF, FileKind.PAGE),
    },
    FileKind.POLICY: frozenset({FileKind.TEXT}),
    FileKind.TOKEN: frozenset({FileKind.TEXT}),
    FileKind.IDENTITY: frozenset({FileKind.PRIVATE_KEY, FileKind.CERTIFICATES, FileKind.DER}),
}
_SPECIAL = {
    stat.S_IFDIR: FileKind.FOLDER,
    stat.S_IFLNK: FileKind.LINK,
    stat.S_IFBLK: FileKind.DEVICE,
    stat.S_IFCHR: FileKind.DEVICE,
    stat.S_IFIFO: FileKind.PIPE,
    stat.S_IFSOCK: FileKind.SOCKET,
}
# A command that wants one of these must not get a file that only may be one.
_SURE = frozenset({FileKind.KEYSTORE, FileKind.TRANSFER, FileKind.EVIDENCE, FileKind.CHECKPOINT})


def recognised(head: bytes) -> FileKind:
    """What a file is, by how it begins; :attr:`FileKind.TEXT` and ``OTHER`` say that nothing is known of it."""
    if not head.strip():
        return FileKind.EMPTY
    if not head.strip(b"\0"):
        return FileKind.ZEROS
    found = next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), None)
    if found is not None:
        return found
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(head)
    if head[4:8] == b"ftyp":
        return FileKind.FILM
    if head[:1] == b"\x30" and head[1:2] in (b"\x80", b"\x81", b"\x82", b"\x83"):
        return FileKind.DER
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _every_second_is_zero(head[:4_000]):
        return FileKind.UTF_16
    return _of_text(head) if b"\0" not in head else FileKind.OTHER


def read_given(path: Path, wanted: FileKind, *, also: frozenset[FileKind] = frozenset(), max_bytes: int) -> bytes:
    """The bytes of a file that may be a ``wanted`` one, or one of ``also``, at most ``max_bytes``.

    Raises :class:`UsageError` when it cannot be read, :class:`WrongFileError` for another kind of file, and
    :class:`TooLargeError`.
    """
    try:
        if path.is_dir():
            raise WrongFileError(_wrong(path, FileKind.FOLDER, wanted))
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as problem:
        raise UsageError(_("cannot read {path}: {why}").format(path=path, why=problem.strerror)) from problem
    require_kind(path, content, wanted, also=also)
    if len(content) > max_bytes:
        raise TooLargeError(
            _("{path} is too long. Bytes at most: {bytes}. Wanted is {wanted}.").format(
                path=path, bytes=max_bytes, wanted=_(_TEXTS[wanted])
            )
        )
    return content


def open_whole(path: Path) -> int:
    """A descriptor of a file that is read from its beginning to its end, whatever is in it and however long it is.

    Not of a link, whose target another may change meanwhile, and not of what has no length or no end. Opening waits for
    nobody. Raises :class:`WrongFileError`, and :class:`UsageError` when it cannot be opened.
    """
    try:
        found = _SPECIAL.get(stat.S_IFMT(os.lstat(path).st_mode))
        if found is not None:
            raise WrongFileError(_wrong(path, found, FileKind.ANY))
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise UsageError(_("cannot read {path}: {why}").format(path=path, why=problem.strerror)) from problem
    except ValueError:
        raise UsageError(_("cannot read {path}: {why}").format(path=path, why="NUL")) from None
    found = _SPECIAL.get(stat.S_IFMT(os.fstat(descriptor).st_mode))
    if found is not None:  # it was exchanged between the two
        os.close(descriptor)
        raise WrongFileError(_wrong(path, found, FileKind.ANY))
    return descriptor


def require_file(path: Path, wanted: FileKind) -> None:
    """Raise :class:`WrongFileError` when ``path`` is known to be no ``wanted`` file; one that is missing passes."""
    if path.is_dir():
        raise WrongFileError(_wrong(path, FileKind.FOLDER, wanted))
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return  # whoever opens it to read it says why it cannot
    require_kind(path, head, wanted)


def require_folder(path: Path, wanted: FileKind) -> None:
    """Raise :class:`WrongFileError` when ``path`` is a file; one that is missing passes."""
    try:
        if path.is_dir() or not path.exists():
            return
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        head = b""
    raise WrongFileError(_wrong(path, recognised(head) if head else FileKind.OTHER, wanted))


def take(
    path: Path,
    wanted: FileKind,
    read: Callable[[bytes], T],
    *,
    also: frozenset[FileKind] = frozenset(),
    max_bytes: int = MAX_FILE_BYTES,
) -> T:
    """What ``read`` makes of the file's bytes; raises as :func:`read_given`, :func:`reading_as` and ``read`` do."""
    content = read_given(path, wanted, also=also, max_bytes=max_bytes)
    with reading_as(path, content, wanted, also=also):
        return read(content)


def require_kind(path: Path, content: bytes, wanted: FileKind, *, also: frozenset[FileKind] = frozenset()) -> None:
    """Raise :class:`WrongFileError` when the content begins as that of another kind of file."""
    found = recognised(content[:_HEAD_BYTES])
    if found in {wanted, *also} or found in _READ_AS.get(wanted, ()):
        return
    if found in (FileKind.TEXT, FileKind.OTHER, FileKind.JSON) and wanted not in _SURE:
        return  # its reader knows more of it
    raise WrongFileError(_wrong(path, found, wanted))


@contextmanager
def reading_as(
    path: Path, content: bytes, wanted: FileKind, *, also: frozenset[FileKind] = frozenset()
) -> Iterator[None]:
    """Whatever the block finds malformed becomes a :class:`WrongFileError` that says of which file, and what it is.

    Errors that name a cause of their own pass.
    """
    try:
        yield
    except ComityError as problem:
        if type(problem) not in (MalformedError, NonCanonicalError):
            raise
        found = recognised(content[:_HEAD_BYTES])
        if found in {wanted, *also}:
            text = _("{path} begins as {wanted}, and cannot be read as one: {why}")
        elif found in (FileKind.TEXT, FileKind.OTHER):
            text = _("{path} cannot be read as what is wanted here, {wanted}: {why}")
        else:
            text = _("{path} seems to be {found}. Wanted is {wanted}: {why}")
        said = text.format(path=path, found=_(_TEXTS[found]), wanted=_(_TEXTS[wanted]), why=_(problem.detail))
        raise WrongFileError(said) from None


def wrong_file(path: Path, content: bytes, wanted: FileKind) -> WrongFileError:
    """The refusal of a file that is known not to be a ``wanted`` one."""
    return WrongFileError(_wrong(path, recognised(content[:_HEAD_BYTES]), wanted))


# --- Inside ---


def _wrong(path: Path, found: FileKind, wanted: FileKind) -> str:
    text = _("{path} is {found}. Wanted is {wanted}.")
    return text.format(path=path, found=_(_TEXTS[found]), wanted=_(_TEXTS[wanted]))


def _of_zip(head: bytes) -> FileKind:
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first.endswith(b"/bagit.txt") or b"/bagit.txt" in head or b"/data/envelope." in head:
        return FileKind.EVIDENCE
    office = first == b"mimetype" or first.startswith((b"[Content_Types].xml", b"_rels/", b"xl/", b"word/"))
    return FileKind.OFFICE if office else FileKind.ARCHIVE


def _every_second_is_zero(sample: bytes) -> bool:
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    return len(sample) >= 8 and max(even, odd) > len(sample) // 4 and min(even, odd) * 4 < max(even, odd)


def _of_text(head: bytes) -> FileKind:
    text = head.removeprefix(b"\xef\xbb\xbf")
    start = text.lstrip()[:1]
    if start in (b"{", b"["):
        return _of_json(text)
    pem = _PEM.search(text[:4_096])
    if pem is not None:
        return FileKind.CERTIFICATES if pem[1] == b"CERTIFICATE" else FileKind.PRIVATE_KEY
    if _NOTE.match(text):
        return FileKind.CHECKPOINT
    if _RULES.match(text):
        return FileKind.POLICY
    if _PAGE.match(text):
        return FileKind.PAGE
    if _HEADERS.match(text.replace(b"\r\n", b"\n")) and _MAIL.search(text):
        return FileKind.MAIL
    if _YAML_TEMPLATE.search(text):
        return FileKind.TEMPLATE
    if _is_message(_YAML_TYPE.search(text)):
        return FileKind.DRAFT
    return FileKind.TEXT if _is_text(text) else FileKind.OTHER


def _of_json(text: bytes) -> FileKind:
    schema = _SCHEMA.search(text)
    if schema is not None:
        return _SCHEMAS.get(schema[1], FileKind.JSON)
    if _TEMPLATE.search(text):
        return FileKind.TEMPLATE
    if _is_message(_TYPE.search(text)) and b'"spec_version"' not in text:  # STIX has incidents too
        return FileKind.DRAFT
    return FileKind.DIRECTORY_FILE if _SIGNED.search(text) else FileKind.JSON


def _is_message(named: re.Match[bytes] | None) -> bool:
    return named is not None and named[1].partition(b".")[0] in _OF_MESSAGES


def _is_text(text: bytes) -> bool:
    """Whether it is UTF-8, or looks like a text in an older encoding: few control characters."""
    try:
        text[:4_000].decode()
    except UnicodeDecodeError as problem:
        if problem.start >= len(text[:4_000]) - 4:
            return True
    controls = sum(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in text[:4_000])
    return controls * 50 < len(text[:4_000])
