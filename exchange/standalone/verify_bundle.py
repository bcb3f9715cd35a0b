#!/usr/bin/env python3
"""Verify Comity evidence without Comity: with Python 3.11 or later and the `cryptography` package, nothing else.

    python3 -I verify_bundle.py evidence.zip --root-sha256 FINGERPRINT

FINGERPRINT is the SHA-256 of the federation's first root metadata. Get it, and this program, from somebody you trust.
Prints a line per check. Exit code 0: all hold, 1: one fails, 2: the file cannot be used. Never checked: whether the
directory is the newest and logs are consistent; the signature of a timestamp (it says how OpenSSL checks that); the
officer's signature inside the content; data/logs; whether a key that is not of small order has a part that is.
"""

# Imports in one line, one empty line between functions: this is meant to be read as a whole.
# ruff: noqa: E401, I001
# fmt: off
import argparse, io, json, re, stat, sys, zipfile, zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519

MAX_FILES, MAX_FILE_BYTES, MAX_TOTAL_BYTES, MAX_RATIO = 20_000, 8 * 2**20, 128 * 2**20, 100
PART = r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,150}"
# The y coordinates of points of small order: OpenSSL accepts signatures under them, libsodium does not.
P, EIGHTH = 2**255 - 19, 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = {0, 1, P - 1, EIGHTH, P - EIGHTH}
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
LOG_KEYS, HYBRID = ("ed25519", "ml_dsa_44"), "ed25519-ml-dsa-44"
Line = tuple[str, bool | None, str]  # which check; whether it holds, None: not checked; what was found
when, EPOCH = datetime.fromisoformat, datetime(1970, 1, 1, tzinfo=UTC)
canonical = partial(json.dumps, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

class FailedError(Exception):
    """A check does not hold; with a second argument None: it could not be made."""

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

# --- The container: ZIP and BagIt (RFC 8493). No entry is read before all were looked at.
def read_zip(data: bytes) -> dict[str, bytes]:
    """The files of the one folder in a ZIP, by their names in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            require(len(infos) <= MAX_FILES and total <= MAX_TOTAL_BYTES, "the ZIP holds more than a bundle may")
            for info in infos:
                why = next((why for why, found in faults(info).items() if found), None)
                require(not why, f"the ZIP holds {why}")
            names = {info.filename.rstrip("/").lower() for info in infos}
            require(len(names) == len(infos), "two entries of the ZIP have one name")
            files = {info.filename: archive.read(info) for info in infos if not info.is_dir()}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, *MALFORMED) as why:
        raise FailedError(f"the ZIP cannot be read ({type(why).__name__})") from why
    require(len({name.partition("/")[0] for name in files}) == 1, "the ZIP is not one folder")
    return {name.partition("/")[2]: content for name, content in files.items()}

def faults(info: zipfile.ZipInfo) -> dict[str, bool]:
    kind, most = stat.S_IFMT(info.external_attr >> 16), 0 if info.is_dir() else MAX_FILE_BYTES
    odd = re.fullmatch(f"{PART}(/{PART})*/?", info.orig_filename) is None or info.filename != info.orig_filename
    return {
        "a name that leads out of its folder, or that no bundle has": odd,
        "a link or a special file": kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG),
        "what is compressed in a way that no bundle is": info.compress_type not in (0, zipfile.ZIP_DEFLATED),
        "what unpacks to more than it may": info.file_size > min(most, MAX_RATIO * (info.compress_size + 1024)),
    }

def check_bag(files: Mapping[str, bytes]) -> str:
    """Every file is listed with its SHA-256, and every listed file is there."""
    require(files.get("bagit.txt", b"").startswith(b"BagIt-Version: 1.0\n"), "it is not a bag of BagIt 1.0")
    payload = {name for name in files if name.startswith("data/")}
    tags = set(files) - payload - {"tagmanifest-sha256.txt"}
    for manifest, covered in (("manifest-sha256.txt", payload), ("tagmanifest-sha256.txt", tags)):
        expected = ["", *(f"{sha256(files[name]).hexdigest()}  {name}" for name in covered)]
        listed = files[manifest].decode("ascii").split("\n")
        wrong = sorted({row[66:] for row in set(expected) ^ set(listed)})
        require(not wrong and len(listed) == len(expected), f"{manifest} and the files differ: {', '.join(wrong)}")
    return f"{len(payload)} files of the payload and {len(tags)} others are as listed"

# --- Canonical CBOR (RFC 8949 §4.2.1): integers, strings, arrays, maps. COSE_Sign1 (RFC 9052). Signatures.
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
    return (number, -1 - number)[major], at

def cbor_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    power = next(power for power in range(4) if number < 1 << 8 * 2**power)
    return bytes([major << 5 | 24 + power]) + number.to_bytes(2**power, "big")

def open_sign1(data: bytes, kind: str) -> list[Any]:
    """Protected header, unprotected one, payload, signature, key id."""
    parts = cbor(data[1:])
    header = cbor(parts[0])
    expected = {1: -19, 3: f"application/vnd.comity.{kind}+cose", 4: header[4]}
    right = data[:1] == b"\xd2" and len(parts) == 4 and parts[1] == {} and header == expected
    require(right, f"it is not a signed object of the type {kind}")
    return [*parts, header[4]]

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
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa
        return mldsa.MLDSA44PublicKey.from_public_bytes(public[32:]).verify(signature[64:], message)
    except InvalidSignature:
        raise FailedError("an ML-DSA-44 signature is wrong") from None
    except (ImportError, UnsupportedAlgorithm):
        raise FailedError("the directory's ML-DSA-44 signatures need cryptography 48 or later", None) from None

def is_hybrid(root: dict[str, Any]) -> bool:
    return all(root["keys"][keyid]["keytype"] == HYBRID for keyid in root["roles"]["root"]["keyids"])

# --- The directory (docs/directory.md): TUF metadata from the root whose fingerprint was given, then the cards.
class Directory:
    """Cards by holder, and what a signature is judged by. Expiry is not: evidence lasts longer than metadata."""

    def __init__(self, files: dict[str, bytes], root_sha256: str) -> None:
        self.files = {name[15:]: content for name, content in files.items() if name.startswith("data/directory/")}
        self.cards: dict[str, Any] = {}
        root = self.trusted_root(root_sha256)
        (name,) = (name for name in self.files if name.endswith(".targets.json"))
        self.members = self.signed(name, "targets", root["keys"], root["roles"]["targets"])
        for role in self.members["delegations"]["roles"]:
            for name in [name for name in self.files if name.endswith(f".{role['name']}.json")]:
                self.read_nation(name, self.members["delegations"]["keys"], role)

    def trusted_root(self, root_sha256: str) -> Any:
        trusted = [name for name, content in self.files.items() if sha256(content).hexdigest() == root_sha256]
        require(trusted, "no root in it has the fingerprint that was given")
        name, holders = trusted[0], list[Any]()
        while name in self.files:
            root = json.loads(self.files[name])["signed"]
            for signer in (*holders, root):  # the holders before, and the new ones
                self.signed(name, "root", signer["keys"], signer["roles"]["root"])
            require(not holders or root["version"] == holders[0]["version"] + 1, "the roots do not follow each other")
            kept = not holders or not is_hybrid(holders[0]) or is_hybrid(root)
            require(kept, "a root gives up ML-DSA-44, which the one before had")
            name, holders = f"metadata/{root['version'] + 1}.root.json", [root]
        return holders[0]

    def signed(self, name: str, kind: str, keys: dict[str, Any], role: dict[str, Any]) -> Any:
        """What the file says, if as many holders of the role as must have signed it."""
        document, valid = json.loads(self.files[name]), set()
        for line in document["signatures"]:
            if line["keyid"] in role["keyids"] and line["sig"]:
                key = {part: keys[line["keyid"]][part] for part in ("keytype", "keyval", "scheme")}
                named = sha256(canonical(key).encode()).hexdigest()
                check_holder(key, canonical(document["signed"]).encode(), bytes.fromhex(line["sig"]))
                valid.add(named)
        # Under the ids that the keys really have: one key listed under two ids counts once.
        enough = len(valid) >= max(role["threshold"], 1) and document["signed"]["_type"] == kind
        require(enough, f"{name} is not signed by enough holders")
        return document["signed"]

    def read_nation(self, file: str, keys: dict[str, Any], role: dict[str, Any]) -> None:
        node = role["name"].removeprefix("nation-")
        require(role["paths"] == [f"{node}/*"], f"{node} was admitted with other paths than its own")
        for path, meta in self.signed(file, "targets", keys, role)["targets"].items():
            digest, name = meta["hashes"]["sha256"], path.removeprefix(f"{node}/")
            if not re.fullmatch(r"node\.json|contact-.*\.json|.*/.*", name):
                continue  # what a later version publishes beside cards
            content = self.files[f"targets/{node}/{digest}.{name}"]
            card, holder = json.loads(content), node if name == "node.json" else f"{name[8:-5]}@{node}"
            right = sha256(content).hexdigest() == digest and holder == card.get("address", card.get("node"))
            require(right, f"{path} is not the card that was signed")
            self.cards[holder] = card

    def signing_key(self, holder: str, kid: bytes, at: datetime) -> bytes:
        """The key of this id that `holder` could sign with at that time."""
        require(holder in self.cards, f"there is no card of {holder}")
        node = holder.rpartition("@")[2]
        cards = [self.cards[whose] for whose in (holder, node) if whose in self.cards]
        ends = [when(card["status_since"]) for card in cards if card["status"] != "active"]
        ends += [when(row["since"]) for name, row in self.members.get("x-comity-standing", {}).items() if name == node]
        require(all(at < end for end in ends), f"{holder} was suspended or revoked by then")
        entries = [entry for entry in self.cards[holder]["signing_keys"] if entry["kid"] == kid.hex()]
        require(len(entries) == 1, f"the card of {holder} has no signing key {kid.hex()}")
        public = b64decode(entries[0]["public"])
        require(sha256(b"comity/v1/key-id\0ed25519\0" + public).digest()[:16] == kid, "a key under another's id")
        names = ("valid_from", "valid_until", "revoked_at")
        start, *ends = (when(entries[0][name]) for name in names if name in entries[0])
        require(start <= at < min(ends), f"the key of {holder} did not count at {at}")
        return public

    def served(self, holder: str, start: datetime, end: datetime) -> set[str]:
        """The nodes that kept the mailbox of `holder` at some time from start to end."""
        rows = [(when(row["since"]), row["node"]) for row in self.cards[holder].get("hosting", [])]
        first = [holder.rpartition("@")[2], *(node for since, node in rows if since <= start)][-1]
        return {first} | {node for since, node in rows if start <= since <= end}

# --- Receipts: C2SP tlog-proof, tlog-checkpoint, signed-note, tlog-cosignature; RFC 6962 trees.
class Checkpoint:
    """A checkpoint that the log has signed with both of its keys, and what the witnesses on cards add to it."""

    def __init__(self, note: str, directory: Directory) -> None:
        self.text, _, block = note.rpartition("\n\n")
        self.origin, size, root = self.text.split("\n")
        self.size, self.root, self.remarks = int(size), b64decode(root, validate=True), ""
        rows = [line.removeprefix("\u2014 ").split(" ") for line in block.removesuffix("\n").split("\n")]
        self.lines = [(name, b64decode(encoded, validate=True)) for name, encoded in rows]
        card = directory.cards[self.origin.rpartition("/")[2]]
        logs = [log for log in (card["log"], *card.get("previous_logs", [])) if log["origin"] == self.origin]
        log: Any = next((log for log in logs if self.signed(self.origin, 1, b64decode(log["ed25519"]))), {})
        both = log and self.signed(self.origin, 6, b64decode(log["ml_dsa_44"]))
        require(both, "the checkpoint does not have a line of each of its log's keys")
        final = (log.get("final_size", 2**64), log.get("final_root", root))
        require(self.size < final[0] or (self.size, root) == final, "it is signed with keys that were replaced by then")
        for node, card in directory.cards.items():
            for witness in [card.get("witness"), *card.get("previous_witnesses", [])]:
                if witness and witness["name"].endswith(f"/witness/{node}"):
                    self.check_witness(witness)

    def check_witness(self, card: dict[str, Any]) -> None:
        name, start, end = card["name"], when(card["valid_from"]), when(card.get("valid_until", "9999-12-31T00:00Z"))
        both = [self.signed(name, kind, b64decode(card[key])) for kind, key in zip((4, 6), LOG_KEYS, strict=True)]
        seconds = [int.from_bytes(raw[4:12], "big") for whose, raw in self.lines if whose == name]
        counts = all(both) and all(start <= EPOCH + timedelta(seconds=second) < end for second in seconds)
        self.remarks += f"; cosigned by {name}" if counts else ""

    def signed(self, name: str, kind: int, public: bytes) -> bool:
        """Whether there is one line of this key; fails if it is wrong."""
        key_id = sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]
        signatures = [raw[4:] for whose, raw in self.lines if (whose, raw[:4]) == (name, key_id)]
        for signature in signatures:
            if kind in (1, 4):
                head = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n" if kind == 4 else ""
                check_ed25519(public, f"{head}{self.text}\n".encode(), signature[8 * (kind == 4) :])
                continue
            names = [bytes([len(part)]) + part for part in (name.encode(), self.origin.encode())]
            tree = bytes(8) + self.size.to_bytes(8, "big") + self.root
            message = b"subtree/v1\n\0" + names[0] + signature[:8] + names[1] + tree
            try:
                from cryptography.hazmat.primitives.asymmetric import mldsa
                mldsa.MLDSA44PublicKey.from_public_bytes(public).verify(signature[8:], message)
            except InvalidSignature:
                raise FailedError("an ML-DSA-44 signature is wrong") from None
            except (ImportError, UnsupportedAlgorithm):
                self.remarks += "; ML-DSA-44 NOT checked: it needs cryptography 48 or later"
        return len(signatures) == 1

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

# --- A bundle (docs/evidence-bundle.md).
class Bundle:
    """One message and all that is proved of it."""

    def __init__(self, data: bytes, args: argparse.Namespace) -> None:
        self.files, self.args, self.logged = read_zip(data), args, list[datetime]()
        require("data/envelope.cose" in self.files, "it is a ZIP, and no evidence bundle")

    def verify(self, lines: list[Line]) -> None:
        run(lines, "bag", lambda: check_bag(self.files))
        run(lines, "directory", self.read_directory)
        run(lines, "envelope", self.read_envelope)
        if all(holds for _, holds, _ in lines):
            for name in sorted(name[:-6] for name in self.files if re.fullmatch(r"data/receipts/\d+\.entry", name)):
                run(lines, name.removeprefix("data/"), partial(self.check_receipt, name))
            run(lines, "signature", self.check_signature)
            run(lines, "content", self.check_content)
            for name in sorted(name for name in self.files if name.startswith("timestamps/")):
                run(lines, name, partial(self.check_timestamp, name))

    def read_directory(self) -> str:
        self.directory = Directory(self.files, self.args.root_sha256)
        return f"{len(self.directory.cards)} cards lead to the root {self.args.root_sha256}"

    def read_envelope(self) -> str:
        raw = self.files["data/envelope.cose"]
        self.digest, self.parts = sha256(raw).digest(), open_sign1(raw, "sealed")
        sealed = self.parts[2]
        require(sealed[:2] == b"\xd8\x60", "what it holds is not sealed")
        routing = cbor(cbor(cbor(sealed[2:])[0])[-70001])
        self.id, self.sender, self.to, self.commitment = (routing[key] for key in (2, 3, 4, 9))
        self.created = EPOCH + timedelta(milliseconds=routing[5])
        require(routing[1] == 1, "it is of another version")
        return f"{self.id.hex()} from {self.sender} to {', '.join(self.to)}, created {self.created}"

    def check_receipt(self, name: str) -> str:
        entry, proof = self.files[f"{name}.entry"], self.files[f"{name}.tlog-proof"].decode()
        head, _, note = proof.partition("\n\n")
        title, *rows = [row for row in head.split("\n") if not row.startswith("extra ")]
        require(title == "c2sp.org/tlog-proof@v1", "it is no tlog-proof")
        checkpoint, index = Checkpoint(note, self.directory), int(rows[0].removeprefix("index "))
        checkpoint.check_inclusion(entry, index, [b64decode(row, validate=True) for row in rows[1:]])
        event = cbor(entry)
        require([event[1], event[4], event[5]] == [1, self.id, self.digest], "the entry is about another message")
        kind, at, recipient = event[2], EPOCH + timedelta(milliseconds=event[3]), event.get(6)
        require(recipient in (None, *self.to), "the entry names somebody else than the recipients")
        if not kind.startswith("Relay"):
            node, holder = checkpoint.origin.rpartition("/")[2], self.sender if "Submission" in kind else recipient
            require(node in self.directory.served(holder, self.created, at), f"{node} did not serve {holder} then")
        if kind.startswith(("ContentHandover", "ContentAccess")):
            statement = open_sign1(event[10], "statement")
            said = cbor(statement[2])
            same = [said.get(key) for key in (2, 4, 5, 6, 7)] == [event.get(key) for key in (2, 4, 5, 6, 8)]
            require(same, "the desk's statement says something else")
            check_sign1(statement, b"comity/v1/statement", self.directory.signing_key(recipient, statement[4], at))
        self.logged += [at] * (kind in ("SubmissionAcceptance", "RelayAcceptance"))
        return f"{kind}{f' {recipient}' if recipient else ''} at {at}, {checkpoint.origin} {index}{checkpoint.remarks}"

    def check_signature(self) -> str:
        at = min(self.logged, default=self.created)
        check_sign1(self.parts, b"comity/v1/envelope", self.directory.signing_key(self.sender, self.parts[4], at))
        return f"signed by {self.sender} with a key that counted at {at}"

    def check_content(self) -> str:
        if "data/content.json" not in self.files:
            raise FailedError("it is not disclosed", None)
        content, salt = self.files["data/content.json"], self.files["data/salt.bin"]
        committed = sha256(b"comity/v1/commitment\0" + salt + content).digest() == self.commitment
        require(committed and len(salt) == 32, "it is not the content that the sender committed to")
        inside = json.loads(content)
        names = [inside["id"].replace("-", ""), inside["from"], sorted(inside["to"])]
        same = names == [self.id.hex(), self.sender, sorted(self.to)]
        require(same, "the content names another id, sender or recipient than the envelope")
        return f"these {len(content)} bytes are what the sender committed to"

    def check_timestamp(self, name: str) -> str:
        about = sha256(self.files["manifest-sha256.txt"]).digest() in self.files[name]
        require(about, "it is not about manifest-sha256.txt")
        how = f"openssl ts -verify -data manifest-sha256.txt -token_in -in {name} -CAfile ROOTS.pem"
        raise FailedError(f"it names manifest-sha256.txt; for its signature unpack the ZIP and run: {how}", None)

def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=argparse.FileType("rb"))
    parser.add_argument("--root-sha256", required=True, type=lambda text: text.replace(" ", "").lower())
    parser.add_argument("--json", action="store_true")
    args, lines = parser.parse_args(), list[Line]()
    try:
        data = args.file.read(2 * MAX_TOTAL_BYTES)
        require(data[:4] == b"PK\x03\x04", "it is no file that this program knows")
        bundle = Bundle(data, args)
    except (FailedError, OSError) as problem:
        print(json.dumps({"ok": False, "error": str(problem)}) if args.json else f"cannot be used: {problem}")
        return 2
    bundle.verify(lines)
    result = {"ok": all(holds is not False for _, holds, _ in lines), "checks": lines}
    if args.json:
        print(json.dumps(result, indent=1))
    for name, holds, text in () if args.json else lines:
        shown = "".join(letter if letter.isprintable() else "?" for letter in f"{name}: {text}")
        print({True: "holds      ", False: "FAILS      ", None: "not checked"}[holds], shown)
    return 0 if result["ok"] else 1

if __name__ == "__main__":
    sys.exit(main())
