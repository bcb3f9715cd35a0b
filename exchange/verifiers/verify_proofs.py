#!/usr/bin/env python3
"""Verify the proofs of a log's entries without Comity: with Python 3.11 or later and `cryptography`, nothing else.

    python3 -I verify_proofs.py PROOFS.zip --policy jp.policy --policy fr.policy

PROOFS is a ZIP of the auditor's pages, or a folder that `--proofs` wrote: files .tlog-proof (C2SP tlog-proof), each
with its .entry beside it. A policy (C2SP tlog-policy) names a log's keys: get it, and this program, from somebody whom
you trust. Prints a line per proof. Exit code 0: each entry is in the tree that its log signed, 1: one is not, 2: the
files cannot be used, 3: none fails, and the content of some is not here. Never checked: ML-DSA-44 lines, cosignatures
of witnesses, the words of an entry, and whether the log showed others the same tree.
"""

# Imports in one line: this is meant to be read as a whole.
# ruff: noqa: E401, I001
# fmt: off
import argparse, re, sys, zipfile
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_FILES, MAX_FILE_BYTES, MAX_TOTAL_BYTES = 20_000, 400_000, 256 * 2**20
NAME = re.compile(r"([a-z][a-z0-9-]{0,30}[a-z0-9]-\d{1,15})\.(tlog-proof|entry|withheld\.txt)\Z")
PROOF, ENTRY = ".tlog-proof", ".entry"
HOLDS, FAILS, UNUSABLE, UNCHECKED = 0, 1, 2, 3
# The y coordinates of points of small order: OpenSSL accepts signatures under them, which are worth nothing.
P, EIGHTH = 2**255 - 19, 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = {0, 1, P - 1, EIGHTH, P - EIGHTH}
Keys = dict[str, list[tuple[bytes, bytes]]]  # by the log's name: key ids and Ed25519 keys

class FailedError(Exception):
    """A proof does not hold."""

class UnusableError(Exception):
    """A file is not what it should be."""

def require(condition: object, why: str) -> None:
    if not condition:
        raise FailedError(why)

def base64(text: str) -> bytes:
    raw = b64decode(text, validate=True)
    require(b64encode(raw).decode() == text, "base64 that is not canonical")
    return raw

def read_files(path: Path) -> dict[str, bytes]:
    """All files of the ZIP or folder, by name; of any other name there must be none."""
    found: dict[str, bytes] = {}
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
                raise UnusableError(f"{file.name!r} is no file of a proof")
            found[file.name] = file.read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            rows = archive.infolist()
            names = {row.filename for row in rows}
            if len(names) != len(rows) or len(rows) > MAX_FILES or sum(row.file_size for row in rows) > MAX_TOTAL_BYTES:
                raise UnusableError("the ZIP names a file twice, or is too large")
            for row in rows:
                if row.file_size > MAX_FILE_BYTES:
                    raise UnusableError(f"{row.filename!r} is too large")
                with archive.open(row) as opened:
                    found[row.filename] = opened.read(MAX_FILE_BYTES + 1)
    strange = [name for name in found if not NAME.match(name)]
    if strange or len(found) > MAX_FILES or not any(name.endswith(PROOF) for name in found):
        raise UnusableError(f"no proofs, or a file that is none: {strange[:1]}")
    return found

def read_keys(paths: list[Path]) -> Keys:
    """The Ed25519 keys of the logs that the policies name (C2SP signed-note: name, key id, key)."""
    keys: Keys = {}
    for path in paths:
        for line in path.read_text("ascii").splitlines():
            word, _, vkey = line.strip().partition(" ")
            if word != "log":
                continue
            name, key_id, key = vkey.strip().split(" ")[0].split("+", 2)
            raw = b64decode(key, validate=True)
            if sha256(name.encode() + b"\n" + raw).digest()[:4].hex() != key_id:
                raise UnusableError(f"a key of {path} has another id than it says")
            if raw[:1] != b"\1":
                continue  # ML-DSA-44
            if len(raw) != 33 or int.from_bytes(raw[1:], "little") % 2**255 % P in SMALL_ORDER:
                raise UnusableError(f"a key of {path} is none")
            keys.setdefault(name, []).append((bytes.fromhex(key_id), raw[1:]))
    if not keys:
        raise UnusableError("no policy names a log with an Ed25519 key")
    return keys

def open_checkpoint(note: str, keys: Keys) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint (C2SP tlog-checkpoint) that one of the keys signed."""
    text, gap, block = note.partition("\n\n")
    lines = text.split("\n")
    require(gap and len(lines) == 3, "its checkpoint is not three lines")
    origin, size, root = lines[0], lines[1], base64(lines[2])
    require(size.isascii() and size.isdigit() and str(int(size)) == size and len(root) == 32, "its checkpoint is none")
    require(origin in keys, f"no policy names the log {origin!r}")
    for line in block.split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, signed = rest.partition(" ")
        if dash != "—" or name != origin:
            continue
        blob = base64(signed)
        for key_id, key in keys[origin]:
            if blob[:4] == key_id and len(blob) == 68:
                try:
                    Ed25519PublicKey.from_public_bytes(key).verify(blob[4:], f"{text}\n".encode())
                except InvalidSignature:
                    raise FailedError("the log's signature does not hold") from None
                return origin, int(size), root
    raise FailedError("the log did not sign its checkpoint with a key of the policy")

def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.3.2: the root that an inclusion path leads to."""
    require(index < size, "its index is not in the tree")
    node, last, found = index, size - 1, leaf
    for step in path:
        require(last > 0, "its path is too long")
        if node % 2 or node == last:
            found = sha256(b"\1" + step + found).digest()
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\1" + found + step).digest()
        node, last = node >> 1, last >> 1
    require(last == 0, "its path is too short")
    return found

def check(name: str, proof: bytes, entry: bytes | None, keys: Keys) -> str:
    """What a proof proves; raises :class:`FailedError`. Without the entry only the checkpoint is checked."""
    head, gap, note = proof.decode().partition("\n\n")
    lines = head.split("\n")
    require(gap and lines[0] == "c2sp.org/tlog-proof@v1" and len(lines) > 1, "it is no tlog-proof")
    word, _, number = lines[1].partition(" ")
    require(word == "index" and number.isascii() and number.isdigit() and str(int(number)) == number, "it has no index")
    require(name.rpartition("-")[2] == number, "its index is another one than in its name")
    path = [base64(line) for line in lines[2:]]
    require(len(path) <= 64 and all(len(one) == 32 for one in path), "its path is none")
    origin, size, root = open_checkpoint(note, keys)
    require(origin.rpartition("/")[2] == name.rpartition("-")[0], "it is of another log than in its name")
    if entry is None:
        return f"entry {number} of {origin} (entries: {size}): its content is not here"
    require(root_from(sha256(b"\0" + entry).digest(), int(number), size, path) == root, "it does not lead to the root")
    return f"entry {number} of {origin} (entries: {size})"

def main() -> int:
    parser = argparse.ArgumentParser(description="Verify the proofs of a log's entries without Comity.")
    parser.add_argument("proofs", type=Path, help="the ZIP or the folder")
    parser.add_argument("--policy", type=Path, action="append", required=True, help="keys of a log; may be repeated")
    args = parser.parse_args()
    try:
        files, keys = read_files(args.proofs), read_keys(args.policy)
    except (OSError, ValueError, UnusableError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as problem:
        print(f"cannot be used: {str(problem)!a}")
        return UNUSABLE
    code = HOLDS
    for name in sorted(name for name in files if name.endswith(PROOF)):
        stem = name.removesuffix(PROOF)
        entry = files.get(stem + ENTRY)
        try:
            text = check(stem, files[name], entry, keys)
        except (FailedError, ValueError, LookupError) as problem:
            print(f"FAILS    {name}: {str(problem)!a}")
            code = FAILS
            continue
        print(f"{'holds' if entry is not None else 'UNCHECKED'}    {name}: {text}")
        code = code if entry is not None or code == FAILS else UNCHECKED
    lost = [name for name in files if name.endswith(ENTRY) and name.removesuffix(ENTRY) + PROOF not in files]
    for name in sorted(lost):
        print(f"FAILS    {name}: there is no proof of it")
        code = FAILS
    return code

if __name__ == "__main__":
    sys.exit(main())
