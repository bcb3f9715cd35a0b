#!/usr/bin/env python3
"""Verify a Comity proof of misbehaviour without Comity: Python 3.11 or later and `cryptography` 48 or later, no more.

    python3 -I verify_misbehaviour.py FILE.proof --card node-card.json
    python3 -I verify_misbehaviour.py FILE.proof --vkey ED25519_VKEY --vkey ML_DSA_44_VKEY

The card, or the two C2SP verifier keys, are the accused log's: get them from somebody you trust, not with the proof.
Prints a line per check. Exit code 0: proved, 1: not proved, 2: the file or the keys cannot be used. The format and what
each kind proves stand in docs/misbehaviour.md. Keys that a log has replaced count up to the final head on the card.
"""

# Imports in one line, no empty lines inside a section: this is meant to be read as a whole.
# ruff: noqa: E401, E702, I001
# fmt: off
import argparse, json, sys
from base64 import b64decode, b64encode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

SCHEMA, SKEW_S, MAX_BYTES, MAX_MS, UNUSABLE = "comity/misbehaviour/1", 300, 65_536, 253_402_300_799_999, 2
PARTS = ("first", "second", "nodes", "index", "entry", "leaf", "path", "other", "other_path")  # numbered from 1
KINDS = {"two-trees": {1, 2}, "fork": {1, 2, 3}, "index-twice": {1, 2, 4, 6, 7, 8, 9}, "shrunk": {1, 2},
         "rewritten": {1, 2, 4, 5, 7, 8, 9}, "dropped": {1, 2, 3, 4, 5, 7}, "back-dated": {1, 2, 4, 5, 7},
         "post-dated": {1, 4, 5, 7}}
P, EIGHTH = 2**255 - 19, 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = {0, 1, P - 1, EIGHTH, P - EIGHTH}  # y coordinates: a signature under such a key is worth nothing
MALFORMED = (OSError, UnsupportedAlgorithm, LookupError, TypeError, ValueError, AttributeError, RecursionError)
Keys = list[tuple[bytes, bytes, tuple[int, bytes] | None]]  # Ed25519, ML-DSA-44, final size and root

class RefusedError(Exception):
    """Why, and the exit code."""
def require(condition: object, why: str, code: int = 1) -> None:
    if not condition:
        raise RefusedError(why, code)

# --- Canonical CBOR (RFC 8949 §4.2.1): integers, strings, arrays, maps, null
def decode(data: bytes) -> Any:
    value, end = item(data, 0, 0)
    return value if end == len(data) else require(False, "there are bytes after the CBOR", UNUSABLE)
def item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if data[at] == 0xF6:
        return None, at + 1
    major, value, at = data[at] >> 5, data[at] & 31, at + 1
    require(depth < 5 and major < 6, "the CBOR holds what no proof does", UNUSABLE)
    if value >= 24:
        width = 1 << value - 24
        value, at = int.from_bytes(data[at:at + width], "big"), at + width
        require(width <= 8 and value >= (24 if width == 1 else 1 << 4 * width), "the CBOR is not canonical", UNUSABLE)
    if major < 2:
        return (-1 - value if major else value), at
    if major < 4:
        require(at + value <= len(data), "the CBOR breaks off", UNUSABLE)
        return (data[at:at + value].decode() if major == 3 else data[at:at + value]), at + value
    items, keys = list[Any](), [b""]
    for _ in range(value * (major - 3)):
        start, (one, at) = at, item(data, at, depth + 1)
        items.append(one)
        keys += [data[start:at]] * (major == 5 and len(items) % 2)
    require(all(one < other for one, other in pairwise(keys)), "the keys of a map are out of order", UNUSABLE)
    return (dict(zip(items[::2], items[1::2], strict=True)) if major == 5 else items), at

# --- Checkpoints: C2SP signed-note, tlog-checkpoint, tlog-cosignature (ML-DSA-44)
class Checkpoint(NamedTuple):
    size: int; root: bytes; seconds: int; former: bool  # when signed, 0 if not said; with keys that were replaced since
def open_checkpoint(note: bytes, origin: str, keys: Keys) -> Checkpoint:
    text, _, block = note.decode().rpartition("\n\n")
    lines, rows = text.split("\n"), [line.split(" ") for line in block.split("\n")[:-1]]
    size, root, name = int(lines[1]), b64decode(lines[2], validate=True), origin.encode()
    right = lines == [origin, str(size), b64encode(root).decode()] and all(len(row) == 3 for row in rows)
    require(right and 0 <= size < 2**63 and len(root) == 32, "a checkpoint is another log's or malformed")
    by_id = [(blob[:4], blob[4:]) for blob in (b64decode(row[2]) for row in rows if row[:2] == ["—", origin])]
    for number, (ed, ml, final) in enumerate(keys):
        ids = [sha256(name + b"\n" + kind + key).digest()[:4] for kind, key in ((b"\1", ed), (b"\6", ml))]
        found = [[signature for key_id, signature in by_id if key_id == wanted] for wanted in ids]
        if not found[0]:
            continue
        require(len(found[0]) == len(found[1]) == 1, "a checkpoint lacks a signature of the log")
        form = "".join(f"— {origin} {b64encode(key_id + line).decode()}\n" for key_id, line in by_id)
        require(form == block and [line[0] for line in by_id] == ids, "a checkpoint has other lines", UNUSABLE)
        require(final is None or size < final[0] or (size, root) == final, "a checkpoint is under keys replaced before")
        cosigner, time = bytes([len(name)]) + name, found[1][0][:8]
        require(int.from_bytes(time, "big") <= MAX_MS // 1000, "a checkpoint's time is out of range")
        signed = b"subtree/v1\n\0" + cosigner + time + cosigner + bytes(8) + size.to_bytes(8, "big") + root
        ed25519.Ed25519PublicKey.from_public_bytes(ed).verify(found[0][0], f"{text}\n".encode())
        mldsa.MLDSA44PublicKey.from_public_bytes(ml).verify(found[1][0][8:], signed)
        return Checkpoint(size, root, int.from_bytes(time, "big"), number > 0)
    raise RefusedError("a checkpoint is not signed by this log", 1)

# --- Trees: RFC 6962 §2.1, verification as RFC 9162 §2.1.3.2 and §2.1.4.2
def walk(node: int, last: int, first: bytes, rest: list[bytes]) -> tuple[bytes, bytes]:  # old root, new root
    left = whole = first
    for sibling in rest:
        require(last, "a path is longer than its tree is high")
        if node & 1 or node == last:
            left, whole = (sha256(b"\1" + sibling + running).digest() for running in (left, whole))
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            whole = sha256(b"\1" + whole + sibling).digest()
        node, last = node >> 1, last >> 1
    require(last == 0, "a path is shorter than its tree is high")
    return left, whole
def included(leaf: bytes, index: int, path: list[bytes], tree: Checkpoint) -> None:
    require(index < tree.size and walk(index, tree.size - 1, leaf, path)[1] == tree.root, "a path leads to no root")
def prefix_root(old: Checkpoint, new: Checkpoint, nodes: list[bytes]) -> bytes:
    require(0 < old.size < new.size and nodes, "the second checkpoint is not the larger one")
    height = (old.size & -old.size).bit_length() - 1  # of the last complete subtree of the old tree
    left, whole = walk(old.size - 1 >> height, new.size - 1 >> height, nodes[0], nodes[1:])
    require(whole == new.root, "the hashes do not lead to the second root")
    return left

# --- The proof
def judge(kind: str, part: dict[str, Any], first: Checkpoint, second: Checkpoint) -> str:
    index, path, leaf = int(part.get("index", 0)), part.get("path"), part.get("leaf")
    timed, ordered = kind not in ("two-trees", "fork", "index-twice"), kind not in ("rewritten", "dropped")
    require(not timed or (first.seconds and second.seconds), "a checkpoint does not say when it was signed")
    require(ordered or second.seconds >= first.seconds, "the second checkpoint was signed before the first")
    if path is not None:
        leaf = leaf or sha256(b"\0" + part["entry"]).digest()
        included(leaf, index, path, first)
    if kind == "two-trees":
        require(first.size == second.size and first.root != second.root, "the checkpoints do not contradict each other")
        return f"two roots were signed for {first.size} entries"
    if kind in ("fork", "dropped"):
        require(prefix_root(first, second, part["nodes"]) != first.root, "the second checkpoint extends the first")
        return f"the first {first.size} entries are not those that were signed" + f": entry {index}" * (kind != "fork")
    if kind in ("index-twice", "rewritten"):
        included(part["other"], index, part["other_path"], second)
        require(leaf != part["other"], "the same leaf stands there under both checkpoints")
        return f"two leaves stand at entry {index}"
    if kind == "shrunk":
        require(second.seconds > first.seconds and second.size < first.size, "the second is not later and smaller")
        return f"{first.size} entries were signed, and later {second.size}"
    entry: Any = decode(part["entry"])
    require(entry[1] == 1 and type(entry[3]) is int and 0 <= entry[3] <= MAX_MS, "the entry says no time", UNUSABLE)
    before, after = entry[3] < (second.seconds - SKEW_S) * 1000, entry[3] > (first.seconds + SKEW_S) * 1000
    require(before if kind == "back-dated" else after, "the entry's time is within the allowed skew")
    require(kind == "post-dated" or index >= second.size, "the entry may have been there at the second checkpoint")
    there = "was not there yet" if kind == "back-dated" else "was there already"
    return f"entry {index} says {entry[3] // 1000}, and {there} at {second.seconds} (Unix seconds)"

# --- The file and the keys
def read_part(name: str, value: Any) -> Any:
    if name == "index":
        return value if type(value) is int and 0 <= value < 2**63 else require(False, "the index is none", UNUSABLE)
    right = type(value) is bytes and len(value) % (32 if name not in ("first", "second", "entry") else 1) == 0
    require(right and (name not in ("leaf", "other") or len(value) == 32), f"the part {name} is wrong", UNUSABLE)
    return [value[at:at + 32] for at in range(0, len(value), 32)] if name in ("nodes", "path", "other_path") else value
def read_keys(card_file: str | None, vkeys: list[str] | None, origin: str) -> Keys:
    keys: Keys = []  # the present ones, then those before with the head up to which they count
    card = json.loads(Path(card_file).read_bytes()) if card_file is not None else None
    for log in (card["log"], *card.get("previous_logs", ())) if card else ():
        ends = keys and log.get("final_size") is not None
        if log["origin"] == origin:
            final = (log["final_size"], b64decode(log["final_root"])) if ends else None
            keys.append((b64decode(log["ed25519"]), b64decode(log["ml_dsa_44"]), final))
    named = (b64decode(text.split("+", 2)[2]) for text in vkeys or () if text.split("+")[0] == origin)
    by_type = {key[:1]: key[1:] for key in named}
    keys += [(by_type[b"\1"], by_type[b"\6"], None)] if by_type else []
    require(keys, f"the keys given are not those of the log {origin}", UNUSABLE)
    small = SMALL_ORDER & {int.from_bytes(key[0], "little") % 2**255 % P for key in keys}
    require(not small, "a key of the log is of small order", UNUSABLE)
    return keys
def verify(data: bytes, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    value: Any = decode(data) if len(data) <= MAX_BYTES else {}
    known = value.keys() == {1, 2, 3, 4} and value[1] == SCHEMA and value[2] in KINDS
    require(known, "the file is not a proof of a version and kind known here", UNUSABLE)
    kind, origin, numbered = (value[number] for number in (2, 3, 4))
    require(numbered.keys() == KINDS[kind], "the parts are not those of the kind", UNUSABLE)
    part = {PARTS[number - 1]: read_part(PARTS[number - 1], found) for number, found in numbered.items()}
    keys = read_keys(options.card, options.vkey, origin)
    opened = [open_checkpoint(part[name], origin, keys) for name in ("first", "second") if name in part]
    lines = [f"checkpoint of {seen.size} entries, signed by {origin} at {seen.seconds} (Unix seconds)"
             + ", with keys that were replaced since" * seen.former for seen in opened]
    lines.append(f"{kind}: {judge(kind, part, opened[0], opened[-1])}")
    return {"kind": kind, "origin": origin, "digest": sha256(data).hexdigest()}, lines
def plain(text: str) -> str:
    """What a terminal only shows: of others' texts no character is obeyed, and none is one that it lacks."""
    encoding = sys.stdout.encoding or "ascii"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)
def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a proof of misbehaviour.")
    parser.add_argument("proof", type=Path)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--card", help="the accused node's card, a JSON file")
    given.add_argument("--vkey", action="append", help="a verifier key of the accused log; twice")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, found, lines = parser.parse_args(), dict[str, Any](), list[str]()
    try:
        found, lines = verify(options.proof.read_bytes(), options)
        code, verdict = 0, "PROVED"
    except RefusedError as problem:
        code, verdict = problem.args[1], f"{('', 'NOT PROVED', 'UNUSABLE')[problem.args[1]]}: {problem.args[0]}"
    except InvalidSignature:
        code, verdict = 1, "NOT PROVED: a signature of the log on a checkpoint is wrong"
    except MALFORMED as problem:
        code, verdict = UNUSABLE, f"UNUSABLE: not as the format prescribes ({type(problem).__name__})"
    shown = json.dumps({**found, "proved": code == 0, "checks": lines, "verdict": verdict})
    print(shown if options.json else "\n".join(map(plain, [*lines, verdict])))
    return code

if __name__ == "__main__":
    sys.exit(main())
