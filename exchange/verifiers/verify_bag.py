#!/usr/bin/env python3
"""Verify Comity evidence without Comity: with Python 3.11 or later and the `cryptography` package, nothing else.

    python3 -I verify_bag.py evidence.zip --root-sha256 FINGERPRINT

FINGERPRINT is the SHA-256 of the federation's first root metadata. Get it, and this program, from somebody you trust.
Prints who signed, for whom, when and dated by what, then a line per check. Exit code 0: all checks were made and hold,
1: one fails, 2: the file cannot be used, 3: none fails, and some could not be made; they are listed. ML-DSA-44 needs
`cryptography` 48 or later. Never checked: whether the directory is the newest and logs are consistent beyond what the
bag shows; the signature of a timestamp (it says how OpenSSL checks that); the words of README.txt, beyond that the
maker signed them; whether a key that is not of small order has a part that is.
"""

# One file, imports in one line, one empty line between functions: one person reads it whole before trusting it.
# ruff: noqa: E401, I001
# fmt: off
import argparse, io, json, pathlib, re, stat, sys, zipfile, zlib
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import new as new_hash, sha256
from itertools import accumulate, groupby
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:
    mldsa = None  # type: ignore[assignment]

MAX_FILES, MAX_FILE_BYTES, MAX_TOTAL_BYTES, MAX_RATIO = 20_000, 8 * 2**20, 128 * 2**20, 100
MAX_SEALED_BYTES, MAX_LISTED, MAX_LIST_BYTES = 64 * 2**20, 1_000, 65_536
MAX_ENVELOPE_BYTES, MAX_CONTENT_BYTES, MAX_EVENT_BYTES, MAX_STATEMENT_BYTES = 1280 * 1024, 2**20, 8192, 2048
MAX_NOTE_BYTES, MAX_LINES, MAX_MS, MAX_CARD_BYTES, MAX_CARDS = 393_216, 224, 253_402_300_799_999, 65_536, 1_024
MAX_ITEMS = 100_000
SKEW, LIFETIME, NEVER = timedelta(minutes=5), timedelta(days=366), datetime.max.replace(tzinfo=UTC)
PART = r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,150}"
NODE = r"[a-z][a-z0-9-]{0,30}[a-z0-9]"
ADDRESS = rf"[a-z0-9]([a-z0-9-]{{0,38}}[a-z0-9])?@{NODE}"
# The y coordinates of points of small order: OpenSSL accepts signatures under them, libsodium does not.
P, EIGHTH = 2**255 - 19, 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = {0, 1, P - 1, EIGHTH, P - EIGHTH}
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
LOG_KEYS, HYBRID, MLDSA_BYTES = ("ed25519", "ml_dsa_44"), "ed25519-ml-dsa-44", 2420
NO_MLDSA = "ML-DSA-44 NOT checked: it needs cryptography 48 or later"
Line = tuple[str, bool | None, str]  # which check; whether it holds, None: not checked; what was found
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
canonical = partial(json.dumps, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

class FailedError(Exception):
    """A check does not hold; with a second argument None: it could not be made."""

def marks(value: Any) -> int:
    """How many commas, colons and opening brackets its JSON has: each name and value but the first is behind one."""
    if not isinstance(value, list | dict):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return max(len(inner), 1) + (len(inner) if isinstance(value, dict) else 0) + sum(map(marks, inner))

def require(condition: object, why: str) -> None:
    if not condition:
        raise FailedError(why)

def run(lines: list[Line], name: str, check: Callable[[], str]) -> None:
    """Make a check and add its line."""
    try:
        lines.append((name, True, check()))
    except FailedError as problem:
        lines.append((name, (*problem.args, False)[1], problem.args[0]))
    except MALFORMED as problem:
        lines.append((name, False, f"not as the format prescribes ({type(problem).__name__})"))

def when(text: str) -> datetime:
    at = datetime.fromisoformat(text).astimezone(UTC) if datetime.fromisoformat(text).tzinfo else None
    require(at, "an instant has no offset")
    return at.replace(microsecond=at.microsecond // 1000 * 1000)  # type: ignore[union-attr]

def instant(ms: Any) -> datetime:
    require(type(ms) is int and 0 <= ms <= MAX_MS, "an instant is not in milliseconds since 1970")
    return EPOCH + timedelta(milliseconds=ms)

def said(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

def base64(text: str) -> bytes:
    raw = b64decode(text, validate=True)
    require(b64encode(raw).decode() == text, "base64 is not in its one form")
    return raw

def blob(value: Any, length: int | None = None) -> bytes:
    require(type(value) is bytes and length in (None, len(value)), f"it is no byte string of {length}")
    return value  # type: ignore[no-any-return]

def address(value: Any) -> str:
    require(type(value) is str and re.fullmatch(ADDRESS, value), "it is no address")
    return value  # type: ignore[no-any-return]

def message_id(raw: Any) -> UUID:
    found = UUID(bytes=blob(raw, 16))
    require(found.int >> 76 & 15 == 7 and found.int >> 62 & 3 == 2, "a message id is not a UUID of version 7")
    return found

# --- The container: ZIP and BagIt (RFC 8493). No entry is read before all were looked at.
def read_zip(data: bytes) -> tuple[str, dict[str, bytes]]:
    """The one folder in a ZIP: its name, and its files by their names in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            require(len(infos) <= MAX_FILES and total <= MAX_TOTAL_BYTES, "the ZIP holds more than a bag may")
            for info in infos:
                why = next((why for why, found in faults(info).items() if found), None)
                require(not why, f"the ZIP holds {why}")
            names = {info.filename.rstrip("/").lower() for info in infos}
            require(len(names) == len(infos), "two entries of the ZIP have one name")
            files = {info.filename: archive.read(info) for info in infos if not info.is_dir()}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, *MALFORMED) as why:
        raise FailedError(f"the ZIP cannot be read ({type(why).__name__})") from why
    folders = {name.partition("/")[0] for name in files}
    require(len(folders) == 1, "the ZIP is not one folder")
    return folders.pop(), {name.partition("/")[2]: content for name, content in files.items()}

def faults(info: zipfile.ZipInfo) -> dict[str, bool]:
    sealed = MAX_SEALED_BYTES if info.filename.endswith(".sealed") else MAX_FILE_BYTES
    kind, most = stat.S_IFMT(info.external_attr >> 16), 0 if info.is_dir() else sealed
    odd = re.fullmatch(f"{PART}(/{PART})*/?", info.orig_filename) is None or info.filename != info.orig_filename
    return {
        "a name that leads out of its folder, or that no bag has": odd,
        "a link or a special file": kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG),
        "what is compressed in a way that no bag is": info.compress_type not in (0, zipfile.ZIP_DEFLATED),
        "what unpacks to more than it may": info.file_size > min(most, MAX_RATIO * (info.compress_size + 1024)),
    }

BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAGS = {"bagit.txt", "bag-info.txt", "README.txt", "statement.cose", "verify_bag.py", "manifest-sha256.txt",
        "tagmanifest-sha256.txt"}
OTHERS = tuple(f"{kind}manifest-{name}.txt" for kind in ("", "tag") for name in ("md5", "sha1", "sha512"))
PAYLOAD = re.compile(rf"""data/(envelope\.cose|content\.json|salt\.bin|receipts/\d{{4,5}}\.(entry|tlog-proof)
    |directory/metadata/([1-9]\d{{0,8}}\.(root|snapshot|targets|nation-{NODE})|timestamp)\.json
    |directory/targets/{NODE}/[0-9a-f]{{64}}\.[a-z0-9][a-z0-9.-]{{0,80}}|logs/{NODE}\.vkeys
    |files/(list\.cbor|[0-9a-f]{{64}}\.sealed))""", re.VERBOSE | re.ASCII)

def check_bag(files: Mapping[str, bytes]) -> str:
    """Every file is one that a bag has, and is listed with its hash; every listed file is there."""
    require(files.get("bagit.txt") == BAGIT, "it is not a bag of BagIt 1.0 in UTF-8")
    payload = {name for name in files if name.startswith("data/")}
    tags, tokens = set(files) - payload, {name for name in files if name.startswith("timestamps/")}
    numbers = sorted({name[14:-6] for name in files if re.fullmatch(r"data/receipts/\d+\.entry", name)})
    proofs = sorted({name[14:-11] for name in files if re.fullmatch(r"data/receipts/\d+\.tlog-proof", name)})
    unknown = {name for name in payload if not PAYLOAD.fullmatch(name)} | (tags - TAGS - tokens - set(OTHERS))
    unknown |= tokens - {f"timestamps/{number}.tst" for number in range(1, len(tokens) + 1)}
    require(not unknown, f"no bag has {', '.join(sorted(unknown)[:5])}")
    require(tags >= TAGS, f"it has no {', '.join(sorted(TAGS - tags))}")
    right = numbers == proofs == sorted(f"{number:04}" for number in range(1, len(numbers) + 1))
    require(right, "the receipts are not numbered from 0001, each an entry and its proof")
    both = ("data/content.json" in files) == ("data/salt.bin" in files)
    require(both, "content and salt are not there both, or neither")
    for name in sorted(name for name in tags if "manifest-" in name):
        covered = {other for other in tags if not other.startswith("tag")} if name.startswith("tag") else payload
        hashed = partial(new_hash, name.partition("-")[2][:-4], usedforsecurity=False)
        expected = ["", *(f"{hashed(files[other]).hexdigest()}  {other}" for other in covered)]
        listed = files[name].decode("ascii").split("\n")
        wrong = sorted({row.partition("  ")[2] for row in set(expected) ^ set(listed)})
        require(not wrong and len(listed) == len(expected), f"{name} and the files differ: {', '.join(wrong)}")
    return f"{len(payload)} files of the payload and {len(tags)} others are as listed"

def is_stated(name: str) -> bool:
    """Whether the maker's statement lists the file: tokens and other manifests can be added later."""
    return not name.startswith(("timestamps/", "tagmanifest-")) and name not in ("statement.cose", *OTHERS)

# --- Canonical CBOR (RFC 8949 §4.2.1): integers, strings, arrays, maps, null. COSE_Sign1 (RFC 9052). Signatures.
def cbor(data: bytes) -> Any:
    value, end = cbor_item(data, 0)
    require(end == len(data), "the CBOR is cut short, or followed by something")
    return value

def cbor_item(data: bytes, start: int) -> tuple[Any, int]:
    major, low, at = data[start] >> 5, data[start] & 31, start + 1
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
    number, at = int.from_bytes(data[at : at + size], "big") if size else low, at + size
    require(data[start:at] == cbor_head(major, number), "the CBOR is not in its one canonical form")
    if major in (2, 3):
        raw = data[at : at + number]
        return (raw if major == 2 else raw.decode()), at + number
    if major in (4, 5):
        items: list[Any] = []
        starts = [at]
        while len(items) < number * (major - 3):
            item, at = cbor_item(data, at)
            items.append(item)
            starts.append(at)
        keys = [data[starts[n] : starts[n + 1]] for n in range(0, len(items), 2)] if major == 5 else []
        require(keys == sorted(set(keys)), "the keys of a CBOR map are not in order")
        return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at
    if data[start] == 0xF6:
        return None, at
    return (number, -1 - number)[major], at

def cbor_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    power = next(power for power in range(4) if number < 1 << 8 * 2**power)
    return bytes([major << 5 | 24 + power]) + number.to_bytes(2**power, "big")

def cbor_map(data: bytes, needed: Iterable[int], more: Iterable[int] = (), version: int = 1) -> dict[int, Any]:
    """A map of this version with exactly these keys."""
    value = cbor(data)
    fields = type(value) is dict and set(needed) <= set(value) <= {*needed, *more}
    require(fields and value[1] == version, "it is not of the fields and version of this format")
    return value  # type: ignore[no-any-return]

def open_sign1(data: bytes, kind: str, most: int = MAX_FILE_BYTES) -> list[Any]:
    """Protected header, unprotected one, payload, signature, key id."""
    parts = cbor(data[1:])
    header = cbor(blob(parts[0]))
    expected = {1: -19, 3: f"application/vnd.comity.{kind}+cose", 4: blob(header[4], 16)}
    right = data[:1] == b"\xd2" and len(parts) == 4 and parts[1] == {} and header == expected and len(data) <= most
    require(right and type(header[1]) is int, f"it is not a signed object of the type {kind}")
    return [parts[0], {}, blob(parts[2]), blob(parts[3], 64), header[4]]

def check_sign1(parts: list[Any], context: bytes, public: bytes) -> None:
    signed = b"".join(cbor_head(2, len(part)) + part for part in (parts[0], context, parts[2]))
    check_ed25519(public, b"\x84\x6aSignature1" + signed, parts[3])

def check_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    for point in (public, signature[:32]):
        y = int.from_bytes(point, "little") & 2**255 - 1
        require(len(point) == 32 and y < P and y not in SMALL_ORDER, "an Ed25519 key or signature is of small order")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise FailedError("an Ed25519 signature is wrong") from None

def check_holder(key: dict[str, Any], message: bytes, signature: bytes) -> None:
    """The signature of a holder of a directory role: Ed25519, or Ed25519 and ML-DSA-44 over a domain of their own."""
    public = bytes.fromhex(key["keyval"]["public"])
    if (key["keytype"], key["scheme"]) == ("ed25519", "ed25519"):
        return check_ed25519(public, message, signature)
    known = (key["keytype"], key["scheme"]) == (HYBRID, f"{HYBRID}/1")
    require(known, "a holder's key is of a kind that this program does not know")
    message = b"comity/v1/directory-signature\0" + message
    check_ed25519(public[:32], message, signature[:64])
    if not check_mldsa(public[32:], message, signature[64:]):
        raise FailedError("the directory's ML-DSA-44 signatures need cryptography 48 or later", None)

def is_hybrid(root: dict[str, Any]) -> bool:
    return all(root["keys"][keyid]["keytype"] == HYBRID for keyid in root["roles"]["root"]["keyids"])

def check_mldsa(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether it could be checked."""
    try:
        mldsa.MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise FailedError("an ML-DSA-44 signature is wrong") from None
    except UnsupportedAlgorithm:
        return False
    except AttributeError:
        if mldsa is None:
            return False
        raise
    return True

# --- The directory (docs/directory.md): TUF metadata from the root whose fingerprint was given, then the cards.
class Directory:
    """Cards by holder, and what a signature is judged by. Expiry is not: evidence lasts longer than metadata."""

    def __init__(self, files: Mapping[str, bytes], root_sha256: str) -> None:
        self.files = {name[15:]: content for name, content in files.items() if name.startswith("data/directory/")}
        self.cards: dict[str, Any] = {}
        self.used, self.silent = set[str](), set[str]()  # files that lead to cards; members whose cards are not here
        root = self.trusted_root(root_sha256)
        timestamp = self.signed("metadata/timestamp.json", "timestamp", root)
        snapshot = self.signed(self.listed(timestamp, "snapshot"), "snapshot", root)
        self.members = self.signed(self.listed(snapshot, "targets"), "targets", root)
        for role in self.members["delegations"]["roles"]:
            node = role["name"].removeprefix("nation-")
            meta = snapshot["meta"].get(f"{role['name']}.json")
            if meta is None or f"metadata/{meta['version']}.{role['name']}.json" not in self.files:
                self.silent.add(node)
                continue
            self.read_nation(self.listed(snapshot, role["name"]), node, role)
        unknown = sorted(set(self.files) - self.used)
        require(not unknown, f"nothing in the directory leads to {', '.join(unknown[:3])}")

    def trusted_root(self, root_sha256: str) -> Any:
        trusted = [name for name, content in self.files.items() if sha256(content).hexdigest() == root_sha256]
        require(trusted, "no root in it has the fingerprint that was given")
        name, holders, first = trusted[0], list[Any](), 0
        while name in self.files:
            root = json.loads(self.files[name])["signed"]
            for signer in (*holders, root):  # the holders before, and the new ones
                self.signed(name, "root", signer)
            require(not holders or root["version"] == holders[0]["version"] + 1, "the roots do not follow each other")
            kept = not holders or not is_hybrid(holders[0]) or is_hybrid(root)
            require(kept, "a root gives up ML-DSA-44, which the one before had")
            first = first or root["version"]
            name, holders = f"metadata/{root['version'] + 1}.root.json", [root]
        # Nothing here vouches for the roots before the one that is trusted, and nothing rests on them.
        self.used |= {name for name in self.files if name in {f"metadata/{n}.root.json" for n in range(1, first)}}
        return holders[0]

    def listed(self, signed: Any, role: str) -> str:
        """The file of a role as the metadata above lists it."""
        meta = signed["meta"][f"{role}.json"]
        name = f"metadata/{meta['version']}.{role}.json"
        content = self.files[name]
        version, listed = json.loads(content)["signed"]["version"], meta.get("hashes", {})
        known = {kind: new_hash(kind, content).hexdigest() for kind in listed}
        right = version == meta["version"] and meta.get("length", len(content)) == len(content) and known == listed
        require(right, f"{name} is not the one that was listed")
        return name

    def signed(self, name: str, kind: str, signer: Any, role: Any = None) -> Any:
        """What the file says, if as many holders of the role as must have signed it."""
        document, valid, keys = json.loads(self.files[name]), set(), signer["keys"]
        role = role or signer["roles"][kind]
        for line in document["signatures"]:
            if line["keyid"] in role["keyids"] and line["sig"]:
                key = {part: keys[line["keyid"]][part] for part in ("keytype", "keyval", "scheme")}
                named = sha256(canonical(key).encode()).hexdigest()
                try:
                    check_holder(key, canonical(document["signed"]).encode(), bytes.fromhex(line["sig"]))
                    valid.add(named)
                except FailedError as problem:
                    if len(problem.args) > 1:  # not checked is not wrong
                        raise
                    # Else somebody put it there; it counts for nothing.
        # Under the ids that the keys really have: one key listed under two ids counts once.
        enough = len(valid) >= max(role["threshold"], 1) and document["signed"]["_type"] == kind
        require(enough, f"{name} is not signed by enough holders")
        self.used.add(name)
        return document["signed"]

    def read_nation(self, file: str, node: str, role: dict[str, Any]) -> None:
        own = role["paths"] == [f"{node}/*"] and role["terminating"] is True and re.fullmatch(NODE, node)
        require(own, f"{node} was admitted with other paths than its own")
        targets = self.signed(file, "targets", self.members["delegations"], role)["targets"]
        require(len(targets) <= MAX_CARDS, f"{node} has more cards than a nation may")
        holders = []
        for path, meta in targets.items():
            digest, name = meta["hashes"]["sha256"], path.removeprefix(f"{node}/")
            stored = f"targets/{node}/{digest}.{name}"
            content = self.files[stored]
            right = (sha256(content).hexdigest(), len(content)) == (digest, meta["length"]) and path == f"{node}/{name}"
            require(right and len(content) <= MAX_CARD_BYTES and set(meta["hashes"]) == {"sha256"},
                    f"{path} is not what was signed")
            self.used.add(stored)
            if not re.fullmatch(r"node\.json|contact-.*\.json|.*/.*", name):
                continue  # what a later version publishes beside cards
            card, holder = json.loads(content), node if name == "node.json" else f"{name[8:-5]}@{node}"
            kind = f"comity/{'node' if holder == node else 'contact-point'}-card/1"
            right = holder == card.get("address", card.get("node")) and card["schema"] == kind
            require(right, f"{path} is not the card that was signed")
            self.cards[holder] = card
            holders.append(holder)
        hosted = all(self.cards[holder].get("hosting") for holder in holders)
        require(holders and (node in holders or hosted), f"{node} has no card of its node")

    def ends(self, holder: str) -> list[datetime]:
        """From when on the holder, or its nation, could not act any more."""
        require(holder in self.cards, f"there is no card of {holder}")
        node, card = holder.rpartition("@")[2], self.cards[holder]
        require(node in self.cards or card.get("hosting"), f"there is no card of {node}")
        cards = [self.cards[whose] for whose in {holder, node} if whose in self.cards]
        found = [when(card["status_since"]) for card in cards if card.get("status", "active") != "active"]
        standing = self.members.get("x-comity-standing", {})
        return found + [when(row["since"]) for name, row in standing.items() if name == node]

    def key_of(self, holder: str, kid: bytes) -> dict[str, Any]:
        require(holder in self.cards, f"there is no card of {holder}")
        entries: list[Any] = [entry for entry in self.cards[holder]["signing_keys"] if entry["kid"] == kid.hex()]
        require(len(entries) == 1, f"the card of {holder} has no signing key {kid.hex()}")
        return entries[0]  # type: ignore[no-any-return]

    def signing_key(self, holder: str, kid: bytes, at: datetime) -> bytes:
        """The key of this id that `holder` could sign with at that time."""
        entry = self.key_of(holder, kid)
        require(all(at < end for end in self.ends(holder)), f"{holder} was suspended or revoked by then")
        public = b64decode(entry["public"], validate=True)
        require(sha256(b"comity/v1/key-id\0ed25519\0" + public).digest()[:16] == kid, "a key under another's id")
        names = ("valid_from", "valid_until", "revoked_at")
        start, *ends = (when(entry[name]) for name in names if entry.get(name) is not None)
        require(start <= at < min(ends), f"the key of {holder} did not count at {at}")
        return public

    def served(self, holder: str, start: datetime, end: datetime) -> set[str]:
        """The nodes that kept the mailbox of `holder` at some time from start to end."""
        require(holder in self.cards, f"there is no card of {holder}")
        rows = [(when(row["since"]), row["node"]) for row in self.cards[holder].get("hosting", [])]
        first = [holder.rpartition("@")[2], *(node for since, node in rows if since <= start)][-1]
        return {first} | {node for since, node in rows if start <= since <= end}

    def witness_rule(self, own: str, now: datetime) -> Callable[[set[str]], bool]:
        """Whether these members' cosignatures are surely enough for the log of `own`. An absent member is silent."""
        rule, members = self.members.get("x-comity-witnesses"), self.members["delegations"]["roles"]
        if rule is not None:
            nodes = {role["name"].removeprefix("nation-") for role in members} - {own}
            rows = [words for row in rule.split("\n") if (words := row.split()) and words[0][0] != "#"]
            return partial(meets, rows, nodes)
        others = {node for node, card in self.cards.items() if "@" not in node and card.get("witness")
                  and card.get("urls") and all(now < end for end in self.ends(node))}
        others = (others | self.silent) - {own}
        return lambda cosigned: bool(others) and len(cosigned & others) > len(others) // 2

def meets(rows: list[list[str]], nodes: set[str], cosigned: set[str]) -> bool:
    """Whether enough cosigned by the `group` and `quorum` lines of a C2SP tlog-policy."""
    met, quorum = cosigned & nodes, "none"
    for kind, name, *more in rows:
        if kind == "group":
            least = {"any": 1, "all": len(more) - 1}.get(more[0]) or int(more[0])
            met |= {name} if len(met.intersection(more[1:])) >= least else set()
        quorum = name if kind == "quorum" else quorum
    return quorum in met

# --- Receipts: C2SP tlog-proof, tlog-checkpoint, signed-note, tlog-cosignature; RFC 6962 trees.
class Checkpoint:
    """A checkpoint that the log has signed with both of its keys, and what the witnesses on cards add to it."""

    def __init__(self, note: bytes, directory: Directory, now: datetime) -> None:
        decoded, self.remarks = note.decode(), ""
        self.text, _, block = decoded.rpartition("\n\n")
        fits = len(note) <= MAX_NOTE_BYTES and not re.search(r"[\x00-\x09\x0b-\x1f]", decoded) and block[-1:] == "\n"
        rows = [row.partition(" ") for row in block.removesuffix("\n").split("\n")]
        dashes = {dash for dash, _, _ in rows} == {"\u2014"}
        require(fits and dashes and len(rows) <= MAX_LINES, "it is no signed note")
        lines = [(name, base64(encoded)) for name, _, encoded in (rest.partition(" ") for _, _, rest in rows)]
        odd = [name for name, raw in lines if not name or re.search(r"[\x00-\x20+]|\s", name) or len(raw) < 5
               or len(name.encode()) > 255]
        self.origin, size, root = self.text.split("\n")
        self.lines, self.size, self.root = lines, int(size), base64(root)
        whole = re.fullmatch(r"0|[1-9][0-9]{0,19}", size, re.ASCII) and len(self.root) == 32 and self.size < 2**64
        require(whole and not odd and (self.size or self.root == sha256().digest()), "it is no checkpoint")
        self.check_log(directory)
        self.cosigned: dict[str, datetime] = {}
        for node, card in directory.cards.items():
            for witness in [card.get("witness"), *card.get("previous_witnesses", [])] if "@" not in node else []:
                if witness:
                    self.check_witness(node, witness, directory, now)
        self.remarks += f"; cosigned by {', '.join(sorted(self.cosigned))}" if self.cosigned else ""

    def check_log(self, directory: Directory) -> None:
        card = directory.cards[self.origin.rpartition("/")[2]]
        logs = [log for log in (card["log"], *card.get("previous_logs", [])) if log["origin"] == self.origin]
        log: Any = next((log for log in logs if self.lines_of(self.origin, 1, log)), {})
        both = log and self.lines_of(self.origin, 6, log)
        require(both, "the checkpoint does not have a line of each of its log's keys")
        self.verified(self.origin, 1, log)
        self.at = self.verified(self.origin, 6, log)
        if log.get("final_size") is not None:
            final = (log["final_size"], base64(log["final_root"]))
            former = self.size < final[0] or (self.size, self.root) == final
            require(former, "it is signed with keys that were replaced by then")

    def check_witness(self, node: str, card: dict[str, Any], directory: Directory, now: datetime) -> None:
        require(card["name"].endswith(f"/witness/{node}"), "a witness is not named after its node")
        times = [self.verified(card["name"], kind, card) for kind in (4, 6) if self.lines_of(card["name"], kind, card)]
        require(None not in times, f"a cosignature of {card['name']} does not say when it was made")
        start, ends = when(card["valid_from"]), [NEVER, *directory.ends(node)]
        ends += [when(card["valid_until"])] if card.get("valid_until") else []
        stated = [at for at in times if at and start <= at < min(ends) and at <= now + SKEW]
        if len(stated) == 2 and node not in self.cosigned:
            self.cosigned[node] = max(stated)

    def lines_of(self, name: str, kind: int, card: dict[str, Any]) -> list[bytes]:
        """The lines of one key: one at most."""
        public = b64decode(card[LOG_KEYS[kind == 6]], validate=True)
        key_id = sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]
        found = [raw[4:] for whose, raw in self.lines if (whose, raw[:4]) == (name, key_id)]
        require(len(found) < 2, f"there are two lines of one key of {name}")
        return found

    def verified(self, name: str, kind: int, card: dict[str, Any]) -> datetime | None:
        """When the line of this key says that it was made (None: it does not say); fails if it is wrong."""
        (signature,), public = self.lines_of(name, kind, card), b64decode(card[LOG_KEYS[kind == 6]])
        second = 0 if kind == 1 else int.from_bytes(signature[:8], "big")
        if kind in (1, 4):
            head = f"cosignature/v1\ntime {second}\n" if kind == 4 else ""
            require(len(signature) == 64 + 8 * (kind == 4), "a signature is too long or too short")
            check_ed25519(public, f"{head}{self.text}\n".encode(), signature[8 * (kind == 4) :])
        else:
            require(len(signature) == 8 + MLDSA_BYTES, "a signature is too long or too short")
            names = [bytes([len(part)]) + part for part in (name.encode(), self.origin.encode())]
            tree = bytes(8) + self.size.to_bytes(8, "big") + self.root
            if not check_mldsa(public, b"subtree/v1\n\0" + names[0] + signature[:8] + names[1] + tree, signature[8:]):
                self.remarks = f"; {NO_MLDSA}"
        require(second < 2**63, "a signature says a time that there is not")
        return EPOCH + timedelta(seconds=second) if second else None

    def enough_since(self, directory: Directory, now: datetime) -> tuple[datetime, list[str]] | None:
        """By when enough witnesses had cosigned, by their own clocks, and who; None if that is not known."""
        rule, done = directory.witness_rule(self.origin.rpartition("/")[2], now), set[str]()
        for at, node in sorted((at, node) for node, at in self.cosigned.items()):
            done.add(node)
            if rule(done):
                return at, sorted(done)
        return None

    def check_inclusion(self, entry: bytes, index: int, path: list[bytes]) -> None:
        """RFC 9162 §2.1.3.2."""
        require(0 <= index < self.size, "the index is not inside the tree")
        running, node, last = sha256(b"\0" + entry).digest(), index, self.size - 1
        for sibling in path:
            require(last and len(sibling) == 32, "the path is longer than the tree is high")
            if node & 1 or node == last:
                running = sha256(b"\1" + sibling + running).digest()
                while not node & 1 and node:
                    node, last = node >> 1, last >> 1
            else:
                running = sha256(b"\1" + running + sibling).digest()
            node, last = node >> 1, last >> 1
        require(last == 0 and running == self.root, "the path does not lead to the signed root")

NEGATIVE = {"SubmissionRejection", "RelayRejection", "RelayFailure", "ContentConsignmentFailure",
            "ConsignmentNotificationFailure", "ContentHandoverFailure", "FileHandoverFailure", "FileExpiry"}
FILES_AT_DESK = {"FileHandover", "FileHandoverFailure", "FileAccessTracking"}
AT_DESK = {"ContentHandover", "ContentHandoverFailure", "ContentAccessTracking"} | FILES_AT_DESK
ACCEPTED = {"SubmissionAcceptance", "RelayAcceptance", "ContentConsignment"}
ON_THE_WAY = {"RelayAcceptance", "RelayRejection", "RelayFailure", "FileRelayAcceptance", "FileDeletion", "FileExpiry"}
AT_SENDER = {"SubmissionAcceptance", "SubmissionRejection", "FileAcceptance"}
EVENTS = NEGATIVE | AT_DESK | ACCEPTED | ON_THE_WAY | AT_SENDER | {"ConsignmentNotification", "FileConsignment"}

def reasons_of(value: dict[int, Any], field: int) -> list[str]:
    """Reasons stand with negative events, and only with these."""
    reasons = value.get(field, [])
    fits = type(reasons) is list and all(type(one) is str and 1 <= len(one) <= 64 for one in reasons)
    fits = fits and len(reasons) <= 8 and (field in value) == bool(reasons) == (value[2] in NEGATIVE)
    require(fits, "the reasons are not of the format")
    return reasons  # type: ignore[no-any-return]

def files_of(value: dict[int, Any], field: int) -> tuple[Any, ...] | None:
    """What an event about files, and only such a one, says of them: digest of the list, name or null, count, root."""
    require((field in value) == value[2].startswith("File"), "an event about files says which, and only such a one")
    if field not in value:
        return None
    listed, name, count, root = value[field]
    none = value[2] == "FileExpiry" and name is None and blob(root) == sha256().digest()
    fits = blob(listed, 32) and blob(root, 32) and (name is None or blob(name, 32)) and type(count) is int
    most = 1_000 if name is None else 1
    require(fits and (1 <= count <= most or (count == 0 and none)), "what it says of files is not of the format")
    return listed, name, count, root

class Receipt:
    """An entry of a log, proved to be in it; what it says is not judged yet."""

    def __init__(self, entry: bytes, proof: bytes, tree_of: Callable[[bytes], Checkpoint]) -> None:
        head, _, note = proof.partition(b"\n\n")
        title, number, *rows = head.decode("ascii").split("\n")
        fits = re.fullmatch(r"index (0|[1-9][0-9]{0,19})", number, re.ASCII) and len(rows) <= 64
        require(title == "c2sp.org/tlog-proof@v1" and fits, "it is no tlog-proof of the one form")
        self.tree, self.index = tree_of(note), int(number[6:])
        self.tree.check_inclusion(entry, self.index, [base64(row) for row in rows])
        self.origin, self.node = self.tree.origin, self.tree.origin.rpartition("/")[2]
        self.leaf, self.refused = sha256(b"\0" + entry).digest(), ""
        require(len(entry) <= MAX_EVENT_BYTES, "the entry is too long")
        self.event = event = cbor_map(entry, (1, 2, 3, 4, 5, 9), (6, 7, 8, 10, 11, 12))
        self.kind, self.at, self.id, self.digest = event[2], instant(event[3]), message_id(event[4]), blob(event[5], 32)
        self.recipient = address(event[6]) if 6 in event else None
        blob(event[9], 16)
        require(type(self.kind) is str and self.kind in EVENTS, "the entry is no event that there is")
        self.reasons, self.about = reasons_of(event, 8), files_of(event, 12)
        require((self.kind in AT_DESK) == (10 in event) and (10 not in event or self.recipient),
                "a desk's event has its statement and names its recipient, and only a desk's")
        require(7 not in event or re.fullmatch(NODE, event[7]), "the peer is no node")
        if 11 in event:
            origin, index, leaf = event[11]
            named = type(origin) is str and 1 <= len(origin.encode()) <= 255 and 7 in event
            named = named and type(index) is int and 0 <= index < 2**64
            require(named and blob(leaf, 32), "the reference is not of the format")
        if self.kind in AT_DESK:
            self.read_statement()

    def read_statement(self) -> None:
        require(len(blob(self.event[10])) <= MAX_STATEMENT_BYTES, "the statement is too long")
        self.statement = open_sign1(self.event[10], "statement", MAX_STATEMENT_BYTES)
        said = cbor_map(self.statement[2], (1, 2, 3, 4, 5, 6), (7, 8))
        fits = said[2] in AT_DESK and message_id(said[4]) and blob(said[5], 32) and address(said[6])
        require(fits and instant(said[3]), "the desk's statement is not of the format")
        same = [said[key] for key in (2, 4, 5, 6)] == [self.event[key] for key in (2, 4, 5, 6)]
        same = same and reasons_of(said, 7) == self.reasons and files_of(said, 8) == self.about
        require(same, "the desk's statement says something else")

def lies(receipts: list[Receipt]) -> Iterator[tuple[str, str]]:
    """Which log lied, and how: what two of its statements, or one by itself, prove."""
    for origin, own in grouped(receipts, lambda one: one.origin):
        late = [one for one in own if one.tree.at and one.at - one.tree.at > SKEW]
        yield from ((origin, f"entry {one.index} says a time after the tree that holds it") for one in late)
        for index, found in grouped(own, lambda one: one.index):
            if len({one.leaf for one in found}) > 1:
                yield origin, f"two entries stand at index {index}"
        for size, found in grouped(own, lambda one: one.tree.size):
            if len({one.tree.root for one in found}) > 1:
                yield origin, f"two trees have the size {size}"
        heads, largest = sorted({(one.tree.at, one.tree.size) for one in own if one.tree.at}), 0
        for _, group in groupby(heads, key=lambda head: head[0]):
            sizes = [size for _, size in group]
            if sizes[0] < largest:
                yield origin, f"a tree of {sizes[0]} was signed after one of {largest}"
            largest = max(largest, sizes[-1])
        heads = sorted((size, at) for at, size in heads)  # type: ignore[misc]
        latest = list(accumulate((at for _, at in heads), max))
        for one in own:
            without = bisect_right([size for size, _ in heads], one.index)  # the trees that do not hold it
            if without and latest[without - 1] - one.at > SKEW:  # type: ignore[operator]
                yield origin, f"entry {one.index} says a time before a tree that lacks it"

def outcomes(receipts: list[Receipt], expires: datetime) -> Iterator[tuple[str | None, str]]:
    """What the events about one message say that cannot all have happened; whose log lied, None if nobody can say."""
    for origin, own in grouped(receipts, lambda one: one.origin):
        at = first_and_last(own)
        accepted = at.get("SubmissionAcceptance", (2**64, 0))
        if accepted[0] < at.get("SubmissionRejection", (0, 0))[1]:
            yield origin, "accepted, and then rejected"
        taken = [at[kind][0] for kind in ("SubmissionAcceptance", "RelayAcceptance") if kind in at]
        if taken and "ContentConsignment" in at and at["ContentConsignment"][0] < min(taken):
            yield origin, "consigned, and accepted afterwards only"
        yield from file_outcomes(origin, own)
        for (who, _), found in grouped(own, lambda one: (one.recipient, one.about)):
            at = first_and_last(found)
            for kind in ("SubmissionAcceptance", "ContentConsignment", "FileAcceptance", "FileConsignment"):
                if kind in at and at[kind][0] != at[kind][1]:
                    yield origin, f"{kind} stands there twice"
            for before, after in (("ContentConsignment", "ContentConsignmentFailure"),
                                  ("ContentConsignment", "ContentHandover"),
                                  ("ContentConsignment", "ContentHandoverFailure"),
                                  ("ContentHandover", "ContentAccessTracking"),
                                  ("FileConsignment", "FileHandover"),
                                  ("FileConsignment", "FileHandoverFailure"),
                                  ("FileHandover", "FileAccessTracking")):
                if before in at and after in at and at[before][0] > at[after][0]:
                    yield origin, f"{after} stands before {before} of {who}"
    for who, found in grouped(receipts, lambda one: one.recipient):
        done, kinds = {one.origin for one in found if one.kind == "ContentConsignment"}, {one.kind for one in found}
        for one in found:
            if done and one.kind == "ContentConsignmentFailure" and expires - one.at > SKEW:
                liar = one.origin if one.origin in done else None
                yield liar, f"it was consigned to {who}, and was not, before its time was over"
        if "ContentHandoverFailure" in kinds and kinds & {"ContentHandover", "ContentAccessTracking"}:
            yield None, f"the desk of {who} says that it took it, and that it refused it"

def file_outcomes(origin: str, own: list[Receipt]) -> Iterator[tuple[str, str]]:
    about = [one.index for one in own if one.about]
    intake = [one.index for one in own if one.kind in ("SubmissionAcceptance", "RelayAcceptance")
              and one.recipient is None and 11 not in one.event]
    if about and intake and min(about) < min(intake):
        yield origin, "files taken, and their message accepted afterwards only"

def grouped(receipts: list[Receipt], key: Callable[[Receipt], Any]) -> list[tuple[Any, list[Receipt]]]:
    groups: dict[Any, list[Receipt]] = {}
    for one in receipts:
        groups.setdefault(key(one), []).append(one)
    return list(groups.items())

def first_and_last(receipts: list[Receipt]) -> dict[str, tuple[int, int]]:
    kinds = grouped(receipts, lambda one: one.kind)
    return {kind: (min(one.index for one in found), max(one.index for one in found)) for kind, found in kinds}

# --- A bag (docs/evidence-bag.md).
# --- Evidence files: C2SP chunked encryption (Cobblestone-256) in segments, named by the RFC 6962 tree over them.
CHUNK, PREFIX, PIECE = 16_384, 56, 2**20
SEALING = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
LIST, SEALED = "data/files/list.cbor", re.compile(r"data/files/([0-9a-f]{64})\.sealed")

class Sealed:
    """A sealed file by its row in the list: suite, bytes of a segment, bytes of the ciphertext, root of the tree."""

    def __init__(self, row: Any) -> None:
        suite, self.segment, self.length, self.root = row
        numbers = all(type(one) is int for one in row[:3]) and suite == 1 and 2**20 <= self.segment <= 2**22
        require(numbers and self.segment.bit_count() == 1 and PREFIX < self.length < 2**53, "no file is sealed so")
        sizes = bytes([suite]) + self.segment.to_bytes(4, "big") + self.length.to_bytes(8, "big")
        self.name = sha256(b"comity/v1/file\0" + sizes + blob(self.root, 32)).digest()

def read_list(data: bytes, file_set: Any) -> list[Sealed]:
    """The list of a message's files, which is the one that its routing header commits to."""
    require(len(data) <= MAX_LIST_BYTES, "the list of files is longer than one may be")
    files = [Sealed(row) for row in cbor(data)]
    names = [file.name for file in files]
    require(names == sorted(set(names)) and 1 <= len(names) <= MAX_LISTED, "the list of files is not in order")
    said = [sha256(b"comity/v1/file-set\0" + data).digest(), len(files), sum(file.length for file in files)]
    require(said == file_set, "the list of files is not the one that the envelope commits to")
    return files

def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The RFC 6962 root over leaf hashes; it keeps one hash a level."""
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        height, node = 0, leaf
        while stack and stack[-1][0] == height:
            height, node = height + 1, sha256(b"\1" + stack.pop()[1] + node).digest()
        stack.append((height, node))
    root = stack.pop()[1] if stack else sha256().digest()
    while stack:
        root = sha256(b"\1" + stack.pop()[1] + root).digest()
    return root

def is_named(file: Sealed, source: Any) -> bool:
    """Whether a stream of bytes is the sealed file of that name."""
    source.seek(0)
    leaves = (sha256(b"\0" + source.read(file.segment)).digest() for _ in range(-(-file.length // file.segment)))
    return tree_root(leaves) == file.root and source.tell() == file.length and not source.read(1)

def check_opened(source: Any, key: bytes, size: int, expected: str) -> str:
    """Whether a sealed file opens with the key to the file of that size and SHA-256, with nothing but zeros behind."""
    source.seek(0)
    head = source.read(PREFIX)
    made = HKDFExpand(SHA512(), 76, SEALING + head[:24] + b"comity/v1/file").derive(key)
    require(made[44:] == head[24:], "THE SENDER SEALED IT UNDER ANOTHER KEY than the message gives")
    aead, base, hashed, number, left = AESGCM(made[:32]), int.from_bytes(made[32:44], "big"), sha256(), 0, size
    while True:
        chunk = source.read(CHUNK + 16)
        try:
            plain = aead.decrypt((base ^ number).to_bytes(12, "big"), chunk, None)
        except (InvalidTag, ValueError):
            raise FailedError("THE SENDER SEALED WHAT CANNOT BE OPENED: a chunk is not of this key") from None
        own, number = plain[:left], number + 1
        hashed.update(own)
        left -= len(own)
        require(not any(plain[len(own):]), "THE SENDER PUT SOMETHING BEHIND THE FILE that is no padding")
        if len(chunk) < CHUNK + 16:
            break
    require(left == 0 and not source.read(1), "THE SENDER SEALED A FILE OF ANOTHER LENGTH than the message states")
    other = f"THE SENDER SEALED ANOTHER FILE than the message states: its SHA-256 is {hashed.hexdigest()}"
    require(hashed.hexdigest() == expected, other)
    return f"whole, and it opens to the {size} bytes whose SHA-256 the message states"

def hash_of(source: Any) -> str:
    source.seek(0)
    hashed = sha256()
    while piece := source.read(PIECE):
        hashed.update(piece)
    return hashed.hexdigest()

def beside_of(named: Iterable[pathlib.Path]) -> Iterator[pathlib.Path]:
    """The regular files that were named, and those in the folders that were."""
    for path in named:
        yield from sorted(one for one in (path.iterdir() if path.is_dir() else [path]) if one.is_file())

class Bag:
    """One message and all that is proved of it."""

    def __init__(self, folder: str, files: Mapping[str, bytes], args: argparse.Namespace) -> None:
        self.folder, self.files, self.args, self.receipts = folder, files, args, list[tuple[str, Receipt]]()
        self.now: datetime = getattr(args, "now", None) or datetime.now(UTC)
        self.sentence, self.dating, self.trees = "", dict[str, Any](), dict[bytes, Checkpoint]()
        self.directory: Any = getattr(args, "directory", None)
        self.file_set: Any = None
        self.roots: dict[Any, bytes] | None = None  # of the listed files, by name in order
        self.sealed, self.stated = list[Sealed](), dict[str, dict[str, Any]]()
        self.beside: list[pathlib.Path] = [*beside_of(getattr(args, "files", None) or ())]
        require("data/envelope.cose" in self.files, "it is a ZIP, and no evidence bag")

    def verify(self, lines: list[Line]) -> None:
        run(lines, "bag", lambda: check_bag(self.files))
        run(lines, "directory", self.read_directory)
        run(lines, "envelope", self.read_envelope)
        if not all(holds for _, holds, _ in lines):
            lines.append(("all else", None, "it rests on what does not hold, or was not checked"))
            return
        run(lines, "folder and bag-info.txt", self.check_names)
        for name in sorted(name[:-6] for name in self.files if re.fullmatch(r"data/receipts/\d+\.entry", name)):
            found = list[Line]()
            run(found, name.removeprefix("data/"), partial(self.read_receipt, name))
            lines += [line for line in found if not line[1]]
        read = [receipt for _, receipt in self.receipts]
        for receipt in read:
            receipt.refused = self.refusal(receipt)
        found_lies: list[tuple[str | None, str]] = [*lies(read)]
        found_lies += outcomes([receipt for receipt in read if not receipt.refused], self.expires)
        self.liars = {origin for origin, _ in found_lies if origin}
        for name, receipt in self.receipts:
            run(lines, name.removeprefix("data/"), partial(self.check_receipt, receipt))
        self.proved = [receipt for receipt in read if not receipt.refused and receipt.origin not in self.liars]
        run(lines, "whole", partial(self.check_whole, found_lies))
        run(lines, "signature", self.check_signature)
        run(lines, "dated", self.check_dated)
        run(lines, "content", self.check_content)
        run(lines, "officer", self.check_officer)
        self.check_files(lines)
        run(lines, "logs", self.check_vkeys)
        run(lines, "maker", self.check_maker)
        run(lines, "verifier", self.check_verifier)
        for name in sorted(name for name in self.files if name.startswith("timestamps/")):
            run(lines, name, partial(self.check_timestamp, name))

    def read_directory(self) -> str:
        self.directory = self.directory or Directory(self.files, self.args.root_sha256)
        return f"{len(self.directory.cards)} cards lead to the root {self.args.root_sha256}"

    def read_envelope(self) -> str:
        raw = self.files["data/envelope.cose"]
        self.digest, self.parts = sha256(raw).digest(), open_sign1(raw, "sealed", MAX_ENVELOPE_BYTES)
        sealed = self.parts[2]
        require(sealed[:2] == b"\xd8\x60", "what it holds is not sealed")
        protected, unprotected, ciphertext, recipients = cbor(sealed[2:])
        header = cbor(blob(protected))
        right = set(header) == {1, 2, 5, -70001} and header[1] == 3 and header[2] == [-70001] and unprotected == {}
        require(right and blob(header[5], 12) and type(blob(ciphertext)) is bytes, "it is not sealed by this suite")
        kids = set[bytes]()
        for inner, keys, wrapped in recipients:
            own = cbor(blob(inner))
            require(set(own) == {1, 4} and own[1] == -70010 and set(keys) == {-4}, "a key is not sealed by this suite")
            kids |= {blob(own[4], 16)} if blob(keys[-4], 1120) and blob(wrapped, 48) else set()
        more = [10] if cbor(blob(header[-70001])).get(1) == 2 else []  # version 2 has files, and version 1 none
        routing = cbor_map(header[-70001], (1, 2, 3, 4, 5, 6, 7, 9, *more), (8,), 1 + len(more))
        self.file_set = routing.get(10)
        self.id, self.sender = message_id(routing[2]), address(routing[3])
        self.to = [address(one) for one in routing[4]]
        self.created, self.expires, self.commitment = instant(routing[5]), instant(routing[6]), blob(routing[9], 32)
        in_order = self.to == sorted(set(self.to), key=lambda one: one.partition("@")[::2])
        one_each = len(kids) == len(recipients) == len(self.to) and 1 <= len(self.to) <= 32
        require(type(routing[4]) is list and in_order and one_each, "there is not one sealed key for each recipient")
        lives = timedelta(0) < self.expires - self.created <= LIFETIME and routing[7] in (0, 1, 2)
        require(lives and (8 not in routing or self.created < instant(routing[8]) <= self.expires), "it cannot live so")
        if more:
            digest, count, total = routing[10]
            fits = blob(digest, 32) and type(count) is type(total) is int and 1 <= count <= 1_000
            require(fits and 584 * count <= total < 2**53, "what it says of files is not of the format")
        return f"{self.id} from {self.sender} to {', '.join(self.to)}, created {said(self.created)}"

    def check_names(self) -> str:
        payload = [content for name, content in self.files.items() if name.startswith("data/")]
        info = (f"Bag-Software-Agent: Comity\nExternal-Identifier: urn:uuid:{self.id}\n"
                "External-Description: Evidence of a message, format comity/evidence-bag/1\n"
                f"Payload-Oxum: {sum(map(len, payload))}.{len(payload)}\n")
        right = self.folder == f"comity-evidence-{self.id}" and self.files["bag-info.txt"] == info.encode()
        require(right, "the name of the folder, or bag-info.txt, is about something else")
        return "they are about this message"

    def read_receipt(self, name: str) -> str:
        read = Receipt(self.files[f"{name}.entry"], self.files[f"{name}.tlog-proof"], self.tree)
        self.receipts.append((name, read))
        return "it is read"

    def tree(self, note: bytes) -> Checkpoint:
        """The checkpoint of many receipts, verified once."""
        if note not in self.trees:
            self.trees[note] = Checkpoint(note, self.directory, self.now)
        return self.trees[note]

    def refusal(self, receipt: Receipt) -> str:
        """Why a receipt does not count for this message; empty if it does."""
        lines = list[Line]()
        run(lines, "", partial(self.relate, receipt))
        return "" if lines[0][1] else lines[0][2]

    def agrees(self, name: bytes | None, count: int, root: bytes) -> bool:
        """Whether an entry can be about files of the list, if that is in the bag: about all or one under their root."""
        if self.roots is None:
            try:
                files = read_list(self.files.get(LIST, b""), self.file_set)
            except (FailedError, *MALFORMED):
                files = []
            self.roots = {file.name: file.root for file in files}
        if name is not None or not self.roots:
            return not self.roots or self.roots.get(name) == root
        whole = tree_root(sha256(b"\0" + own).digest() for own in self.roots)
        return count < len(self.roots) or (count == len(self.roots) and root == whole)

    def relate(self, receipt: Receipt) -> str:
        require((receipt.id, receipt.digest) == (self.id, self.digest), "the entry is about another message")
        require(receipt.recipient in (None, *self.to), "the entry names somebody else than the recipients")
        listed = self.file_set[0] if self.file_set else None
        fits = receipt.about is None or (receipt.about[0] == listed and self.agrees(*receipt.about[1:]))
        require(fits, "the entry is about other files")
        if receipt.kind not in ON_THE_WAY:
            holder: Any = self.sender if receipt.kind in AT_SENDER else receipt.recipient
            served = self.directory.served(holder, self.created, receipt.at)
            require(receipt.node in served, f"{receipt.node} did not serve {holder} then")
        require(self.created - receipt.at <= SKEW, "the entry says a time before the message was made")
        require(receipt.at - self.now <= SKEW, "the entry says a time that has not come by the clock of this machine")
        if receipt.kind in AT_DESK:
            key = self.directory.signing_key(receipt.recipient, receipt.statement[4], receipt.at)
            check_sign1(receipt.statement, b"comity/v1/statement", key)
        return "it counts"

    def check_receipt(self, receipt: Receipt) -> str:
        require(not receipt.refused, receipt.refused)
        require(receipt.origin not in self.liars, f"the log {receipt.origin} is proved to lie")
        who, where = f" {receipt.recipient}" if receipt.recipient else "", f"{receipt.origin} {receipt.index}"
        text = f"{receipt.kind}{who} at {said(receipt.at)}, {where}{receipt.tree.remarks}"
        if NO_MLDSA in text:
            raise FailedError(text, None)
        return text

    def check_whole(self, found: list[tuple[str | None, str]]) -> str:
        require(not found, "; ".join(dict.fromkeys(f"{f'{origin}: ' if origin else ''}{why}" for origin, why in found)))
        return f"{len(self.receipts)} receipts contradict each other nowhere"

    def datings(self) -> Iterator[tuple[int, datetime, str, list[str], str]]:
        """What says when: by witnesses (0) or the log (1) of a node that served a party then; the words for it."""
        parties = [(self.sender, "the sender"), *((one, f"the recipient {one}") for one in self.to)]
        for receipt in self.proved:
            enough = receipt.tree.enough_since(self.directory, self.now)
            if enough:
                yield 0, enough[0], f"dated (witnessed): by {', '.join(enough[1])}", enough[1], "witnessed"
            known = [(party, name) for party, name in parties if party in self.directory.cards]
            served = [name for party, name in known
                      if receipt.node in self.directory.served(party, receipt.at - SKEW, receipt.at)]
            if served and receipt.kind in ACCEPTED:
                words = f"dated (log of {receipt.node}, which served {served[0]})"
                yield 1, receipt.at, words, [receipt.node], "log"

    def check_signature(self) -> str:
        self.sentence = f"It is NOT shown that {self.sender} signed message {self.id} for {', '.join(self.to)}."
        self.dating, problem, found = {"grade": "none", "at": None, "by": []}, None, sorted(self.datings())
        own, at = f"{self.sender} signed message {self.id} for {', '.join(self.to)}", self.created
        own += f", at {said(self.created)} by its own word; "
        for _, at, words, by, grade in found:
            try:
                public = self.directory.signing_key(self.sender, self.parts[4], at)
                check_sign1(self.parts, b"comity/v1/envelope", public)
            except FailedError as why:
                problem = problem or why
                continue
            self.sentence, self.dating = f"{own}{words}: at {said(at)}.", {"grade": grade, "at": said(at), "by": by}
            self.sentence = self.sentence.replace(": at ", ", at ") if grade == "witnessed" else self.sentence
            return f"signed by {self.sender} with a key that counted at {said(at)}"
        if problem:
            raise problem
        check_sign1(self.parts, b"comity/v1/envelope", self.directory.signing_key(self.sender, self.parts[4], at))
        self.sentence = f"{own}not dated: nothing but the sender's own word says when it was signed."
        return f"signed by {self.sender} with a key that counted at {said(at)}, when it says so"

    def check_dated(self) -> str:
        if self.dating["grade"] == "none":
            raise FailedError("not dated: nothing but the sender's own word says when it was signed", None)
        return self.sentence.partition("; ")[2]

    def content(self) -> tuple[bytes, dict[str, Any]]:
        if "data/content.json" not in self.files:
            raise FailedError("it is not disclosed", None)
        content = self.files["data/content.json"]
        require(len(content) <= MAX_CONTENT_BYTES, "it is longer than a content may be")
        inside = json.loads(content.decode(), object_pairs_hook=unique, parse_constant=partial(require, False))
        require(type(inside) is dict, "it is no JSON object")
        require(marks(inside) < MAX_ITEMS, "it holds more names and values than a content may")
        return content, inside

    def check_content(self) -> str:
        (content, inside), salt = self.content(), self.files["data/salt.bin"]
        committed = sha256(b"comity/v1/commitment\0" + salt + content).digest() == self.commitment
        require(committed and len(salt) == 32, "it is not the content that the sender committed to")
        named = [inside["id"], inside["from"], sorted(inside["to"])] == [str(self.id), self.sender, sorted(self.to)]
        named = named and type(inside["to"]) is list
        require(named, "the content names another id, sender or recipient than the envelope")
        attached = [one["sealed"] for one in inside.get("attachments", []) if one.get("sealed") is not None]
        require(file_set_of(attached) == self.file_set, "the content names other files than the envelope commits to")
        return f"these {len(content)} bytes are what the sender committed to"

    def check_officer(self) -> str:
        if "data/content.json" not in self.files:
            return "nothing is disclosed that an officer could have signed"
        (content, inside), officer = self.content(), None
        if type(inside.get("officer")) is dict:
            officer = [inside["officer"].get("key"), inside["officer"].get("signature")]
        if officer in (None, [None, None]):
            return "the office let no officer sign"
        key, signature = officer
        right = (len(key), len(signature), content.count(signature.encode("ascii"))) == (43, 86, 1)
        require(right, "the officer's key or signature is not of the format")
        raw = [urlsafe_b64decode(text + "==="[: -len(text) % 4]) for text in (key, signature)]
        once = [urlsafe_b64encode(one).rstrip(b"=").decode() for one in raw] == [key, signature]
        require(once, "the officer's key or signature is not in its one form")
        signed = content.replace(signature.encode(), b"A" * 86)
        check_ed25519(raw[0], b"comity/v1/officer\0" + signed, raw[1])
        return f"signed by the officer whose key is {key}, for which the office vouches"

    def check_files(self, lines: list[Line]) -> None:
        if self.file_set is not None or any(name.startswith("data/files/") for name in self.files):
            run(lines, "files", self.read_files)
            for file in self.sealed if lines[-1][1] else ():
                run(lines, f"file {file.name.hex()[:16]}", partial(self.check_file, file))

    def read_files(self) -> str:
        """The list of files, and what the content says of each, by its name."""
        require(self.file_set is not None, "it holds files, and the envelope commits to none")
        require(LIST in self.files, "the envelope commits to files, and their list is not here")
        self.sealed = read_list(self.files[LIST], self.file_set)
        names = {file.name.hex() for file in self.sealed}
        whole = {found[1] for found in map(SEALED.fullmatch, self.files) if found}
        require(whole <= names, "it holds a file that is not in the list")
        if "data/content.json" in self.files:
            listed = [one for one in self.content()[1].get("attachments", []) if one.get("sealed") is not None]
            self.stated = {one["sealed"]["name"]: one for one in listed}
            rows = [[one["sealed"][name] for name in ("suite", "segment_bytes", "length")] +
                    [bytes.fromhex(one["sealed"]["root"])] for one in listed]
            inside = sorted(Sealed(row).name.hex() for row in rows)
            right = inside == sorted(names) == sorted(one["sealed"]["name"] for one in listed)
            require(right, "the files named inside are not those of the list")
        return f"{len(self.sealed)} files are those that the envelope commits to; {len(whole)} are whole in here"

    def check_file(self, file: Sealed) -> str:
        """One file: whole in the bag, or beside it, sealed or opened; by reference alone nothing of it is checked."""
        name, stated = file.name.hex(), self.stated.get(file.name.hex(), {})
        inside = self.files.get(f"data/files/{name}.sealed")
        if inside is not None:
            return self.check_sealed(file, stated, io.BytesIO(inside))
        for path in self.beside:
            with path.open("rb") as source:
                if path.stat().st_size == file.length and is_named(file, source):
                    return self.check_sealed(file, stated, source)
                if stated and path.stat().st_size == stated["size_bytes"] and hash_of(source) == stated["sha256"]:
                    return f"{path.name} has the {stated['size_bytes']} bytes and SHA-256 that the message states"
        ways = "sealed or opened" if stated else "sealed; the hash of the opened one is in the content, not disclosed"
        raise FailedError(f"by reference alone ({file.length} bytes): name it with --files, {ways}", None)

    def check_sealed(self, file: Sealed, stated: dict[str, Any], source: Any) -> str:
        require(is_named(file, source), "it is not the file that its name stands for")
        if not stated:
            raise FailedError("it is the sealed file of its name; without the content nothing opens it", None)
        key = stated["sealed"]["key"]
        raw = urlsafe_b64decode(key + "=")
        require(len(raw) == 32 and urlsafe_b64encode(raw).decode() == key + "=", "its key is not in its one form")
        size, other = stated["size_bytes"], "THE SENDER SEALED A FILE OF ANOTHER LENGTH than the message states"
        exponent = max(size, 512).bit_length() - 1
        padded = max(size, 512) + -max(size, 512) % (1 << exponent - exponent.bit_length())  # Padmé
        require(file.length == PREFIX + padded + 16 * (padded // CHUNK + 1), other)
        return check_opened(source, raw, size, stated["sha256"])

    def check_vkeys(self) -> str:
        """The keys that other tools are given are those on the cards, the present ones first."""
        expected: dict[str, str] = {}
        for origin in sorted({receipt.origin for receipt in self.proved}):
            node = origin.rpartition("/")[2]
            card = self.directory.cards[node]
            for log in (log for log in (card["log"], *card.get("previous_logs", [])) if log["origin"] == origin):
                for kind, name in zip((1, 6), LOG_KEYS, strict=True):
                    public = bytes([kind]) + b64decode(log[name])
                    key_id = sha256(origin.encode() + b"\n" + public).digest()[:4].hex()
                    expected[node] = f"{expected.get(node, '')}{origin}+{key_id}+{b64encode(public).decode()}\n"
        given = {name[10:-6]: content.decode() for name, content in self.files.items() if name.startswith("data/logs/")}
        require(given == expected, "data/logs does not hold exactly the keys on the cards of the logs' nodes")
        return f"the keys of {', '.join(sorted(expected)) or 'no log'} are those on their cards"

    def check_maker(self) -> str:
        parts = open_sign1(self.files["statement.cose"], "bag")
        made = cbor_map(parts[2], range(1, 10), (10,))
        office, at, officer = address(made[4]), instant(made[5]), made.get(10, "nobody")
        require(office in (self.sender, *self.to), f"{office} made it, and is neither sender nor recipient")
        check_sign1(parts, b"comity/v1/bag", self.directory.signing_key(office, parts[4], at))
        about = (message_id(made[2]), made[3]) == (self.id, self.digest)
        files = {name: sha256(content).digest() for name, content in self.files.items() if is_stated(name)}
        wrong = sorted({name for name, _ in {*files.items()} ^ {*made[6].items()}})
        require(about and not wrong, f"it is not as its maker signed it: {', '.join(wrong[:5])}")
        read = [receipt for _, receipt in self.receipts]
        listed = [[one.origin, one.index, one.leaf] for one in read]
        require(made[7] == listed, "the receipts are not those that its maker signed")
        origins = {one.origin for one in read}
        seen = set(made[8]) == origins and all(made[8][one.origin] >= one.tree.size for one in read)
        numbers = all(type(one) is int and 0 <= one < 2**64 for one in (*made[8].values(), made[9]))
        named = type(officer) is str and 1 <= len(officer) <= 200 and officer.isprintable()
        require(seen and numbers and named, "what its maker says of logs, receipts or the officer is not of the format")
        require(all(one.at - at <= SKEW for one in read), "its maker says a time before that of an entry in it")
        logs = ", ".join(f"{origin} up to {size}" for origin, size in sorted(made[8].items())) or "none"
        text = (f"{office}{f' ({officer})' if 10 in made else ''} signed, at {said(at)} by its own word, that it holds "
                f"{len(read)} receipts, and {made[9]} that did not hold were left out; logs seen: {logs}. Nobody "
                "can see what it left out before it signed")
        active = [self.directory.cards[one].get("status", "active") == "active" for one in
                  {office, office.rpartition("@")[2]} if one in self.directory.cards]
        standing = office.rpartition("@")[2] in self.directory.members.get("x-comity-standing", {})
        if self.directory.key_of(office, parts[4]).get("revoked_at") or not all(active) or standing:
            raise FailedError(f"its key or office was revoked, and nothing else says when it signed; {text}", None)
        return text

    def check_verifier(self) -> str:
        with open(__file__, "rb") as own:
            if self.files["verify_bag.py"] != own.read():
                raise FailedError("verify_bag.py in it is not this program: do not run it unread", None)
        return "verify_bag.py in it is this program"

    def check_timestamp(self, name: str) -> str:
        manifest, kinds = self.files["manifest-sha256.txt"], ("sha256", "sha384", "sha512")
        about = any(new_hash(kind, manifest).digest() in self.files[name] for kind in kinds)
        require(about, "it is not about manifest-sha256.txt")
        how = f"openssl ts -verify -data manifest-sha256.txt -token_in -in {name} -CAfile ROOTS.pem"
        raise FailedError(f"it names manifest-sha256.txt; for its signature unpack the ZIP and run: {how}", None)

def file_set_of(attached: list[dict[str, Any]]) -> list[Any] | None:
    """What the header of a message says whose content gives these sealed files; None without any."""
    rows = list[tuple[bytes, bytes, int]]()
    for one in attached:
        suite, segment, length, root = one["suite"], one["segment_bytes"], one["length"], bytes.fromhex(one["root"])
        require(all(type(number) is int for number in (suite, segment, length)), "a number of a file is none")
        sizes = suite.to_bytes(1, "big") + segment.to_bytes(4, "big") + length.to_bytes(8, "big")
        name = sha256(b"comity/v1/file\0" + sizes + blob(root, 32)).digest()
        require(name.hex() == one["name"], "the name of a file is not the one that its parts make")
        heads = [cbor_head(4, 4), *(cbor_head(0, number) for number in (suite, segment, length)), cbor_head(2, 32)]
        rows.append((name, b"".join(heads) + root, length))
    rows.sort()
    listed = cbor_head(4, len(rows)) + b"".join(row for _, row, _ in rows)
    total = sum(length for *_, length in rows)
    return [sha256(b"comity/v1/file-set\0" + listed).digest(), len(rows), total] if rows else None

def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    require(len(dict(pairs)) == len(pairs), "a name is used twice in one JSON object")
    return dict(pairs)

def plain(text: str) -> str:
    """What a terminal only shows: of others' texts no character is obeyed, and none is one that it lacks."""
    encoding = sys.stdout.encoding or "ascii"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)

def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=argparse.FileType("rb"))
    parser.add_argument("--root-sha256", required=True, type=lambda text: text.replace(" ", "").lower())
    parser.add_argument("--files", nargs="+", type=pathlib.Path, help="evidence files, or folders of them")
    parser.add_argument("--json", action="store_true")
    args, lines = parser.parse_args(), list[Line]()
    try:
        data = args.file.read(2 * MAX_TOTAL_BYTES)
        require(data[:4] == b"PK\x03\x04", "it is no file that this program knows")
        bag = Bag(*read_zip(data), args)
    except (FailedError, OSError) as problem:
        print(json.dumps({"ok": False, "error": str(problem)}) if args.json else plain(f"cannot be used: {problem}"))
        return 2
    bag.verify(lines)
    failed, unchecked = ([name for name, holds, _ in lines if holds is verdict] for verdict in (False, None))
    result = {"ok": not failed and not unchecked, "sentence": bag.sentence, "dating": bag.dating,
              "failed": failed, "unchecked": unchecked, "checks": lines}
    if args.json:
        print(json.dumps(result, indent=1))
    shown_first: list[Any] = [("", "", bag.sentence)]
    for name, holds, text in () if args.json else shown_first + lines:
        shown = plain(f"{name}{': ' if name else ''}{text}")
        print({True: "holds      ", False: "FAILS      ", None: "not checked", "": ""}[holds], shown)
    if unchecked and not args.json:
        print(plain(f"NOT CHECKED, and so no success: {', '.join(unchecked)}"))
    return 1 if failed else 3 if unchecked else 0

if __name__ == "__main__":
    sys.exit(main())
