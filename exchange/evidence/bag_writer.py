"""Writing an evidence bag: one message and all that is proved of it, as a BagIt bag (RFC 8493) in a ZIP.

docs/evidence-bag.md is the format. The same message gives the same payload, byte for byte: the ZIP stores without
compressing and dates every entry 1980-01-01. Everything that says when is signed: the events, the timestamp tokens, and
outside of the payload the statement of who made the bag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import new as new_hash
from hashlib import sha256
from importlib.resources import files as package_files
from io import BytesIO
from uuid import UUID
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from exchange.evidence._bag_files import MAX_WHOLE_BYTES, files_in, payload_of
from exchange.evidence._bag_readme import readme
from exchange.evidence.disclosure import Disclosure
from exchange.messaging.receipts import JudgedReceipt
from exchange.store.rows import StoredMessage
from keys.directory.view import Directory
from protocol.address import Address, node_of
from protocol.bag_statement import BagStatement, sign_bag_statement
from protocol.crypto.signing import Signer
from protocol.errors import UnknownNodeError
from protocol.event import LeafReference
from protocol.files.file_list import FileList
from protocol.log.checkpoint import parse_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import parse_note
from protocol.receipt import Receipt, to_tlog_proof

BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
VERIFIER = "verify_bag.py"
README = "README.txt"
STATEMENT = "statement.cose"
BAG_INFO = "bag-info.txt"
BAG_DECLARATION = "bagit.txt"
TIMESTAMPS = "timestamps/"
DATA = "data/"
ENVELOPE = "data/envelope.cose"
CONTENT = "data/content.json"
SALT = "data/salt.bin"
RECEIPTS = "data/receipts/"
DIRECTORY = "data/directory/"
LOGS = "data/logs/"

MAX_WHOLE = MAX_WHOLE_BYTES
"""How many bytes of sealed files one bag holds."""

_ENTRY_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP can say
_UNIX = 3
_FILE_MODE = 0o100644


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a bag, when, and how large each log was (by origin) when its head was last seen there.

    ``officer`` is None where the office does not say who acted.
    """

    office: Address
    officer: str | None
    at: datetime
    searched: Mapping[str, int]
    signer: Signer = field(repr=False)


@dataclass(frozen=True, slots=True)
class EvidenceContents:
    """What goes into a bag: all of it verified by the desk. ``left_out`` receipts did not hold and are not in it.

    ``directory`` is files by published name, ``vkeys`` the verifier keys of each node's log, ``disclosure`` None when
    the content stays closed. ``files`` is the list of the message's evidence files, ``whole`` those sealed files, by
    name, that the bag holds.
    """

    message_id: UUID
    envelope: bytes = field(repr=False)
    receipts: tuple[Receipt, ...] = field(repr=False)
    directory: Mapping[str, bytes] = field(repr=False)
    vkeys: Mapping[str, Sequence[str]] = field(repr=False)
    disclosure: Disclosure | None
    left_out: int
    maker: Maker = field(compare=False)
    files: FileList | None = None
    whole: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)

    def payload(self) -> dict[str, bytes]:
        """The files below ``data/``."""
        files = {ENVELOPE: self.envelope}
        if self.disclosure is not None:
            files |= {CONTENT: self.disclosure.content, SALT: self.disclosure.salt}
        for number, receipt in enumerate(self.receipts, 1):
            files[f"{RECEIPTS}{number:04}.entry"] = receipt.leaf
            files[f"{RECEIPTS}{number:04}.tlog-proof"] = to_tlog_proof(receipt)
        files |= {DIRECTORY + name: content for name, content in self.directory.items()}
        files |= {f"{LOGS}{node}.vkeys": vkeys_file(keys) for node, keys in self.vkeys.items()}
        return files | payload_of(self.files, self.whole)

    def manifest(self) -> bytes:
        """The manifest of the payload: what a timestamp token is about."""
        return _manifest(self.payload())


def evidence_of(
    stored: StoredMessage,
    judged: Sequence[JudgedReceipt],
    disclosure: Disclosure | None,
    directory: Directory,
    extract: Callable[[Iterable[str]], dict[str, bytes]],
    maker: Maker,
) -> EvidenceContents:
    """The contents of a stored message's bag: each proved entry once, in the order of time.

    ``extract(nodes)`` gives the directory's files that vouch for these nations; raises what it raises.
    """
    proved = {(entry.proved.origin, entry.proved.index): entry.proved for entry in judged if entry.proved is not None}
    ordered = sorted(proved.values(), key=lambda entry: (entry.event.at, entry.origin, entry.index))
    return EvidenceContents(
        message_id=stored.head.id,
        envelope=stored.envelope,
        receipts=tuple(entry.receipt for entry in ordered),
        directory=extract(nations_of(stored, judged, directory)),
        vkeys=vkeys_of((entry.origin for entry in ordered), directory),
        disclosure=disclosure,
        left_out=sum(entry.proved is None for entry in judged),
        maker=maker,
        files=files_in(stored.content),
    )


def vkeys_of(origins: Iterable[str], directory: Directory) -> dict[str, list[str]]:
    """The verifier keys of logs by node, the present ones first; raises :class:`UnknownNodeError`."""
    found: dict[str, list[str]] = {}
    for origin in sorted(set(origins)):
        verifier = directory.log_verifier(origin)
        for keys in (verifier, *(former.keys for former in verifier.former)):
            found.setdefault(directory.node_of_origin(origin), []).extend(keys.vkeys)
    return found


def vkeys_file(keys: Iterable[str]) -> bytes:
    """A file of verifier keys."""
    return "".join(f"{key}\n" for key in keys).encode()


def nations_of(stored: StoredMessage, judged: Sequence[JudgedReceipt], directory: Directory) -> frozenset[str]:
    """The nations whose cards a bag needs: both sides', those of the logs, and those that cosigned their heads.

    Each is looked up, so that what was not read is read next. A witness from outside is among them, and nobody's.
    """
    named = {address.node for address in (stored.head.sender, *stored.head.recipients)}
    for entry in judged:
        if entry.proved is not None:
            lines = parse_note(entry.receipt.checkpoint).signatures
            named |= {node_of(line.name) for line in lines}
    for node in named:
        with suppress(UnknownNodeError):
            directory.node(node)
    return frozenset(named)


def write_bag(contents: EvidenceContents, tokens: Sequence[bytes] = ()) -> bytes:
    """The bag's file; ``tokens`` are timestamp tokens (DER) over :meth:`EvidenceContents.manifest`."""
    return zipped(f"comity-evidence-{contents.message_id}", bag_of(contents, tokens))


def bag_of(contents: EvidenceContents, tokens: Sequence[bytes] = ()) -> dict[str, bytes]:
    """The files of the bag by name, signed by its maker."""
    payload = contents.payload()
    files = {
        **payload,
        BAG_DECLARATION: BAGIT,
        BAG_INFO: bag_info(contents.message_id, payload),
        MANIFEST: _manifest(payload),
        README: readme(
            contents.message_id, disclosed=contents.disclosure is not None, files=contents.files is not None
        ).encode(),
        VERIFIER: verifier(),
    }
    files[STATEMENT] = _statement(contents, files)
    return with_tokens(files, tokens)


def with_tokens(files: Mapping[str, bytes], tokens: Sequence[bytes]) -> dict[str, bytes]:
    """The files of a bag with these timestamp tokens after those that it has, and the tag manifests that fit."""
    there = [name for name in files if name.startswith(TIMESTAMPS)]
    added = {f"{TIMESTAMPS}{number}.tst": token for number, token in enumerate(tokens, len(there) + 1)}
    manifests = {TAG_MANIFEST, *(name for name in files if name.startswith("tagmanifest-"))}
    kept = {name: content for name, content in files.items() if name not in manifests} | added
    tags = {name: content for name, content in kept.items() if not name.startswith(DATA)}
    return kept | {name: _manifest(tags, name.partition("-")[2].removesuffix(".txt")) for name in manifests}


def _statement(contents: EvidenceContents, files: Mapping[str, bytes]) -> bytes:
    maker = contents.maker
    heads = [(parse_checkpoint(receipt.checkpoint).origin, receipt) for receipt in contents.receipts]
    return sign_bag_statement(
        BagStatement(
            message_id=contents.message_id,
            digest=sha256(contents.envelope).digest(),
            office=maker.office,
            made_at=maker.at,
            files={name: sha256(content).digest() for name, content in files.items()},
            receipts=tuple(LeafReference(origin, one.index, leaf_hash(one.leaf)) for origin, one in heads),
            searched=maker.searched,
            left_out=contents.left_out,
            officer=maker.officer,
        ),
        maker.signer,
    )


def verifier() -> bytes:
    """The program that verifies bags without Comity."""
    return (package_files("exchange.verifiers") / VERIFIER).read_bytes()


def bag_info(message_id: UUID, payload: Mapping[str, bytes]) -> bytes:
    """The file that says what the bag is."""
    return (
        "Bag-Software-Agent: Comity\n"
        f"External-Identifier: urn:uuid:{message_id}\n"
        f"External-Description: Evidence of a message, format comity/evidence-bag/1\n"
        f"Payload-Oxum: {sum(map(len, payload.values()))}.{len(payload)}\n"
    ).encode()


def _manifest(files: Mapping[str, bytes], kind: str = "sha256") -> bytes:
    hashes = {name: new_hash(kind, content, usedforsecurity=False).hexdigest() for name, content in files.items()}
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode()


def zipped(folder: str, files: Mapping[str, bytes]) -> bytes:
    """The bag as a ZIP of its folder."""
    written = BytesIO()
    with ZipFile(written, "w", ZIP_STORED) as archive:
        for name in sorted(files):
            entry = ZipInfo(f"{folder}/{name}", _ENTRY_DATE)
            entry.create_system, entry.external_attr = _UNIX, _FILE_MODE << 16
            archive.writestr(entry, files[name])
    return written.getvalue()
