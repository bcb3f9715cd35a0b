"""One way to break each rule of a bag, everything signed anew so that this rule alone is broken.

``RULES`` maps the rule to what Comity's verifier calls the check that fails (None: the file is refused as a whole) and
to what breaks it. ``docs/evidence-bag.md`` has the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from protocol.encoding.instants import to_ms
from protocol.envelope import MAX_CONTENT_BYTES, MAX_ENVELOPE_BYTES
from protocol.log.note import NoteSignature, parse_note, serialize_note
from tests.worlds.forged_bags import NODES, Book, Case, Head, events, light, manifest

Break = Callable[[Random, Case], Case]
RULES: dict[str, tuple[str | None, Break]] = {}
_ANY = "any"


def rule(name: str, check: str | None = _ANY) -> Callable[[Break], Break]:
    """Register what breaks the rule ``name``."""

    def keep(broken: Break) -> Break:
        RULES[name] = (check, broken)
        return broken

    return keep


def routing(name: str, change: Callable[[Random, dict[int, Any]], None]) -> None:
    """A rule of the routing header."""

    def broken(random: Random, case: Case) -> Case:
        def edit(parts: dict[str, Any]) -> None:
            parts["routing"] = dict(parts["routing"])
            change(random, parts["routing"])

        return replace(light(case), envelope=edit)

    RULES[f"routing: {name}"] = (_ANY, broken)


def sealed(name: str, change: Callable[[Random, dict[str, Any]], None]) -> None:
    """A rule of the envelope around the routing header."""

    def broken(random: Random, case: Case) -> Case:
        return replace(light(case), envelope=lambda parts: change(random, parts))

    RULES[f"envelope: {name}"] = (_ANY, broken)


def entry(name: str, event: str, change: Callable[[Random, dict[Any, Any], Case], None]) -> None:
    """A rule of an entry: ``change`` breaks the raw value of one such event."""

    def broken(random: Random, case: Case) -> Case:
        case = replace(case, books=deepcopy(case.books))
        _, _, value = random.choice(events(case, event))
        change(random, value, case)
        return case

    RULES[f"entry: {name}"] = (_ANY, broken)


def said(name: str, change: Callable[[Random, dict[Any, Any], Case], None]) -> None:
    """A rule of a desk's statement."""
    entry(f"statement: {name}", "ContentHandover", lambda random, value, case: change(random, value[10], case))


def inside(name: str, change: Callable[[Random, dict[str, Any], Case], None]) -> None:
    """A rule of what stands in the content, to which the sender committed."""

    def broken(random: Random, case: Case) -> Case:
        value = dict(case.inside)
        change(random, value, case)
        return replace(light(case), inside=value)

    RULES[f"content: {name}"] = ("content", broken)


def made(name: str, change: Callable[[Random, Case], dict[str, Any]]) -> None:
    """A rule of the maker's statement."""
    RULES[f"maker: {name}"] = ("maker", lambda random, case: replace(case, **change(random, case)))


def payload(name: str, change: Callable[[Random, dict[str, bytes]], None], check: str = _ANY) -> None:
    """A rule of the payload; manifests and statement fit what was done."""
    RULES[name] = (check, lambda random, case: replace(case, payload=lambda files: change(random, files)))


def tags(name: str, change: Callable[[Random, dict[str, bytes]], None], check: str = "bag") -> None:
    """A rule of the files beside the payload."""
    RULES[name] = (check, lambda random, case: replace(light(case), tags=lambda files: change(random, files)))


def _put(value: dict[Any, Any], key: Any, said: Any) -> None:
    value[key] = said


def _drop(value: dict[Any, Any], key: Any) -> None:
    del value[key]


def _flip(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << random.randrange(8)]) + raw[at + 1 :]


def _name(random: Random) -> str:
    return random.choice(("officer-confession.txt", "receipts/9999.note", "x.html", "logs/jp.vkeys.old")) + str(
        random.randrange(99)
    )


def _other_manifest(random: Random, files: dict[str, bytes]) -> None:
    kind = random.choice(("md5", "sha1", "sha512"))
    listed = {name: content for name, content in files.items() if name.startswith("data/")}
    gone = random.choice(sorted(listed))
    listed[gone] += b"x"
    files[f"manifest-{kind}.txt"] = manifest(listed, kind)


def _renumber(random: Random, files: dict[str, bytes]) -> None:
    ends = random.choice(((".entry",), (".tlog-proof",), (".entry", ".tlog-proof")))
    for end in ends:
        files[f"data/receipts/{random.randrange(50, 900):04}{end}"] = files.pop(f"data/receipts/0001{end}")


def _vkeys(random: Random, files: dict[str, bytes]) -> None:
    names = sorted(name for name in files if name.endswith(".vkeys"))
    name = random.choice(names)
    lines = files[name].splitlines(keepends=True)
    files[name] = random.choice(
        (b"".join(reversed(lines)), lines[0], files[name] + lines[0], files[names[names[0] == name]], b"")
    )


def _split(random: Random, case: Case) -> Case:
    moved = random.randrange(1, 32)

    def shift(files: dict[str, bytes]) -> None:
        salt, text = files["data/salt.bin"], files["data/content.json"]
        if random.random() < 0.5:
            files["data/salt.bin"], files["data/content.json"] = salt[:-moved], salt[-moved:] + text
        else:
            files["data/salt.bin"], files["data/content.json"] = salt + text[:moved], text[moved:]

    return replace(case, payload=shift)


# --- The bag ---

payload("bag: every payload file is one that a bag has", lambda r, f: _put(f, f"data/{_name(r)}", b"x"), "bag")
tags("bag: every tag file is one that a bag has", lambda r, f: _put(f, _name(r), b"x"))
tags(
    "bag: no tag file is missing",
    lambda r, f: _drop(f, r.choice(("bagit.txt", "bag-info.txt", "README.txt", "verify_bag.py"))),
)
tags("bag: bagit.txt is that of BagIt 1.0 in UTF-8", lambda r, f: _put(f, "bagit.txt", _flip(r, f["bagit.txt"])))
tags(
    "bag: the manifest fits the payload",
    lambda r, f: _put(f, "manifest-sha256.txt", _flip(r, f["manifest-sha256.txt"])),
)
tags(
    "bag: the tag manifest fits the tag files",
    lambda r, f: _put(f, "tagmanifest-sha256.txt", manifest({"bagit.txt": r.randbytes(9)})),
)
tags("bag: another manifest fits too", _other_manifest)
tags("bag: tokens are numbered from 1", lambda r, f: _put(f, f"timestamps/{r.randrange(2, 99)}.tst", b"x"))
payload("bag: receipts are numbered from 0001, an entry and its proof each", _renumber)
payload(
    "bag: salt and content are there both or neither",
    lambda r, f: _drop(f, r.choice(("data/salt.bin", "data/content.json"))),
    "bag",
)
payload("logs: the keys for other tools are those on the cards", _vkeys, "logs")
tags(
    "tags: bag-info.txt is about this bag",
    lambda r, f: _put(f, "bag-info.txt", _flip(r, f["bag-info.txt"])),
    "bag-info.txt",
)
RULES["tags: the folder is named after the message"] = (
    "folder",
    lambda random, case: replace(
        case, folder=lambda name: f"{name[:-1]}{(int(name[-1], 16) + random.randrange(1, 16)) % 16:x}"
    ),
)


# --- The envelope ---

routing("its version is the number 1", lambda r, v: _put(v, 1, r.choice((True, 2, 0, "1", b"\1", None, -1))))
routing(
    "it has exactly its fields",
    lambda r, v: (
        _put(v, r.choice((10, 0, -1, 23)), r.randrange(9))
        if r.random() < 0.5
        else _drop(v, r.choice((1, 2, 3, 4, 5, 6, 7, 9)))
    ),
)
routing(
    "a message id is a UUID of version 7",
    lambda r, v: _put(
        v,
        2,
        r.choice(
            (
                bytes([*v[2][:6], r.randrange(0x70) if r.random() < 0.5 else 0x80 | v[2][6] & 15, *v[2][7:]]),
                v[2] + b"\0",
                v[2][1:],
                v[2].hex(),
            )
        ),
    ),
)
routing(
    "the sender is an address in its one form",
    lambda r, v: _put(
        v, 3, r.choice((v[3].upper(), f" {v[3]}", f"{v[3]}\n", f"{v[3]}@x", v[3].encode(), "", v[3][:4], None))
    ),
)
routing(
    "recipients are addresses, sorted, none twice",
    lambda r, v: _put(
        v,
        4,
        r.choice(
            (
                v[4] * 2,
                [],
                ["24-7@zz", *v[4]],
                [one.upper() for one in v[4]],
                v[4][0],
                [f"c{n}@fr" for n in range(33)],
                [v[4]],
            )
        ),
    ),
)
routing(
    "instants are milliseconds since 1970",
    lambda r, v: _put(v, r.choice((5, 6)), r.choice((-1, str(v[5]), True, 253_402_300_800_000, None, 2**63))),
)
routing(
    "it expires after it was created and within a year",
    lambda r, v: _put(v, 6, v[5] + r.choice((0, -r.randrange(1, 10**9), 366 * 86_400_000 + r.randrange(1, 10**9)))),
)
routing(
    "the priority is 0, 1 or 2", lambda r, v: _put(v, 7, r.choice((3, -1, True, "1", None, [], r.randrange(3, 10**9))))
)
routing(
    "acknowledgement is due between creation and expiry",
    lambda r, v: _put(v, 8, r.choice((v[5], v[5] - r.randrange(10**6), v[6] + r.randrange(1, 10**6), True, None))),
)
routing(
    "the commitment has 32 bytes", lambda r, v: _put(v, 9, r.choice((v[9][:31], v[9] + b"\0", v[9].hex(), b"", None)))
)

sealed(
    "it is of the one suite",
    lambda r, p: r.choice(
        (
            lambda: _put(p["header"], 1, r.choice((1, 2, "3", True))),
            lambda: _put(p["header"], 2, r.choice(([], [-70001, 5], [-70002], None))),
            lambda: _put(p["header"], 5, r.randbytes(r.choice((11, 13)))),
            lambda: _put(p["header"], 7, 1),
        )
    )(),
)
sealed(
    "nothing stands in an unprotected header", lambda r, p: _put(p["unprotected"], r.choice((1, 4, -1)), r.randrange(9))
)
sealed(
    "there is one sealed key for each recipient",
    lambda r, p: r.choice(
        (
            p["recipients"].pop,
            lambda: p["recipients"].append(deepcopy(p["recipients"][0])),
            lambda: _put(p, "recipients", {}),
            lambda: _put(p, "recipients", b""),
        )
    )(),
)
sealed(
    "a sealed key is of the one suite and length",
    lambda r, p: r.choice(
        (
            lambda: _put(p["recipients"][0], 2, r.randbytes(47)),
            lambda: _put(p["recipients"][0][1], -4, r.randbytes(1119)),
            lambda: _put(p["recipients"][0][1], 1, 1),
            lambda: _put(p["recipients"][0], 0, b"\xa0"),
            lambda: p["recipients"][0].append(b""),
        )
    )(),
)
sealed(
    "it is signed as an envelope",
    lambda r, p: r.choice(
        (
            lambda: _put(p, "type", f"application/vnd.comity.{r.choice(('statement', 'bag', 'sealed2'))}+cose"),
            lambda: _put(
                p, "context", r.choice((b"comity/v1/statement", b"comity/v1/bag", b"", b"comity/v2/envelope"))
            ),
        )
    )(),
)
sealed(
    "its encoding is the canonical one",
    lambda r, p: _put(
        p,
        "raw",
        lambda raw: r.choice(
            (
                raw + r.randbytes(1),
                raw[:-1],
                b"\xd8\x12" + raw[1:],
                raw[1:],
                raw.replace(b"\x84", b"\x98\x04", 1),
                b"\xd9\x00\x12" + raw[1:],
            )
        ),
    ),
)
sealed(
    "it is no larger than an envelope may be",
    lambda r, p: _put(p, "ciphertext", r.randbytes(MAX_ENVELOPE_BYTES + r.randrange(99))),
)
sealed(
    "its signature is that of the key it names",
    lambda r, p: _put(
        p,
        "raw",
        lambda raw: (
            raw[: -64 + (n := r.randrange(64))]
            + bytes([raw[-64 + n] ^ 1 << r.randrange(8)])
            + (raw[-63 + n :] if n < 63 else b"")
        ),
    ),
)


@rule("envelope: it is signed by a key of its sender", "signature")
def _(random: Random, case: Case) -> Case:
    return replace(case, signed_by=f"24-7@{random.choice([node for node in NODES if f'24-7@{node}' != case.sender])}")


# --- Entries and their proofs ---

entry("its version is the number 1", "RelayAcceptance", lambda r, v, c: _put(v, 1, r.choice((True, 2, 0, "1"))))
entry(
    "it has exactly its fields", "RelayAcceptance", lambda r, v, c: _put(v, r.choice((12, 0, -1, 23)), r.randrange(9))
)
entry(
    "its event is one that there is",
    "RelayAcceptance",
    lambda r, v, c: _put(
        v, 2, r.choice(("Relay", "relayacceptance", "RelayAcceptance ", "ContentAcceptance", "", 7, "DirectorySeen"))
    ),
)
entry(
    "its time is in milliseconds since 1970",
    "RelayAcceptance",
    lambda r, v, c: _put(v, 3, r.choice((-1, str(v[3]), True, 253_402_300_800_000))),
)
entry(
    "it is about this message",
    "RelayAcceptance",
    lambda r, v, c: (
        _put(v, r.choice((4, 5)), r.randbytes(6) + b"\x71" + r.randbytes(1) + b"\x81" + r.randbytes(7))
        if r.random() < 0.5
        else _put(v, 5, r.randbytes(32))
    ),
)
entry(
    "it names a recipient of this message",
    "ContentConsignment",
    lambda r, v, c: _put(v, 6, r.choice((c.sender, "24-7@gr", "x@jp", v[6].upper(), f"{v[6]} "))),
)
entry("what happens to one recipient names it", "ContentConsignment", lambda r, v, c: _put(v, 6, None))
entry(
    "a negative event has reasons, and only such",
    "RelayAcceptance",
    lambda r, v, c: _put(v, 8, r.choice((["expired"], [], ["x" * 65], ["a"] * 9, "expired", [1]))),
)
entry("a desk's event has its statement", "ContentAccessTracking", lambda r, v, c: _put(v, 10, None))
entry("only a desk's event has a statement", "RelayAcceptance", lambda r, v, c: _put(v, 10, r.randbytes(99)))
entry(
    "its salt has 16 bytes",
    "RelayAcceptance",
    lambda r, v, c: _put(v, 9, r.choice((r.randbytes(15), r.randbytes(17), "0" * 16, b""))),
)
entry(
    "the peer is a node",
    "RelayAcceptance",
    lambda r, v, c: _put(v, 7, r.choice(("JP", "k", "jp ", "jp\n", "x" * 33, b"jp", ""))),
)
entry(
    "a reference is a place in a log, and has a peer",
    "RelayAcceptance",
    lambda r, v, c: _put(
        v,
        11,
        r.choice(
            (
                ["test/jp", -1, bytes(32)],
                ["test/jp", 1, bytes(31)],
                ["", 1, bytes(32)],
                ["test/jp", 1],
                ["x" * 256, 1, bytes(32)],
                ["test/jp", True, bytes(32)],
            )
        ),
    ),
)
entry(
    "it is no larger than an entry may be",
    "RelayAcceptance",
    lambda r, v, c: _put(v, 7, "k" * (8_192 + r.randrange(99))),
)
entry(
    "it is not dated before the message",
    "RelayAcceptance",
    lambda r, v, c: _put(v, 3, c.routing[5] - 300_001 - r.randrange(10**9)),
)
entry(
    "consignment is for the recipient's node to state",
    "SubmissionAcceptance",
    lambda r, v, c: v.update({2: "ContentConsignment", 6: c.recipients[0]}),
)
entry(
    "submission is for the sender's node to state",
    "ContentConsignment",
    lambda r, v, c: v.update({2: "SubmissionAcceptance", 6: None}),
)

said("its version is the number 1", lambda r, v, c: _put(v, 1, r.choice((True, 2, 0, "1"))))
said("it has exactly its fields", lambda r, v, c: _put(v, r.choice((8, 0, -1)), r.randrange(9)))
said(
    "it says what the entry says",
    lambda r, v, c: r.choice(
        (
            lambda: _put(v, 2, "ContentAccessTracking"),
            lambda: _put(v, 5, r.randbytes(32)),
            lambda: _put(v, 4, r.randbytes(6) + b"\x71" + r.randbytes(1) + b"\x81" + r.randbytes(7)),
            lambda: _put(v, 7, ["x"]),
        )
    )(),
)
said(
    "it is signed as a statement",
    lambda r, v, c: r.choice(
        (
            lambda: _put(v, "type", "application/vnd.comity.sealed+cose"),
            lambda: _put(v, "context", r.choice((b"comity/v1/envelope", b"", b"comity/v1/bag"))),
        )
    )(),
)
said(
    "its time is in milliseconds since 1970", lambda r, v, c: _put(v, 3, r.choice((-1, True, "1", 253_402_300_800_000)))
)


@rule("entry: statement: it is signed by a key of the recipient")
def _(random: Random, case: Case) -> Case:
    return replace(case, stated_by=f"24-7@{random.choice([n for n in NODES if f'24-7@{n}' not in case.recipients])}")


@rule("entry: it is not dated after the moment of verifying", "receipt")
def _(random: Random, case: Case) -> Case:
    latest = max(value[3] for _, _, value in events(case, "ContentAccessTracking"))
    now = case.made_at - (case.made_at - case.now) - (case.now - case.made_at)
    ahead = timedelta(milliseconds=to_ms(now) - latest, minutes=5, seconds=random.randrange(1, 10**5))
    return replace(case, now=now - ahead)


def proof(name: str, change: Callable[[Random, bytes], bytes], check: str = _ANY) -> None:
    """A rule of the proof files."""
    RULES[f"proof: {name}"] = (check, lambda random, case: replace(case, proof=lambda raw: change(random, raw)))


def _lines(raw: bytes) -> list[bytes]:
    return raw.partition(b"\n\n")[0].split(b"\n")


proof(
    "it is of the one form",
    lambda r, raw: r.choice(
        (
            raw.replace(b"@v1", b"@v2", 1),
            raw.replace(b"index ", b"index 0", 1),
            raw.replace(b"index ", b"index  ", 1),
            raw.replace(b"index ", b"extra eHg=\nindex ", 1),
            raw.replace(b"\n", b"\r\n"),
            b"\n" + raw,
            raw.replace(b"index ", b"Index ", 1),
        )
    ),
)
proof(
    "its index is the entry's",
    lambda r, raw: raw.replace(_lines(raw)[1], b"index %d" % (int(_lines(raw)[1][6:]) + r.randrange(1, 9)), 1),
)
proof(
    "its path leads to the root",
    lambda r, raw: (
        raw.replace(b"\n\n", b"\n" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" + b"\n\n", 1)
        if r.random() < 0.5 or len(_lines(raw)) < 3
        else raw.replace(b"\n" + _lines(raw)[2], b"", 1)
    ),
)


def note(name: str, change: Callable[[Random, bytes], bytes], check: str = _ANY) -> None:
    """A rule of the signed notes."""
    RULES[f"checkpoint: {name}"] = (check, lambda random, case: replace(case, note=lambda raw: change(random, raw)))


def _relined(raw: bytes, change: Callable[[list[NoteSignature]], object]) -> bytes:
    parsed = parse_note(raw)
    lines = list(parsed.signatures)
    change(lines)
    return serialize_note(parsed.text, tuple(lines))


def _spoil(random: Random, lines: list[NoteSignature], number: int) -> None:
    lines[number] = replace(lines[number], signature=_flip(random, lines[number].signature))


note("it has a line of each of its log's keys", lambda r, raw: _relined(raw, lambda lines: lines.pop(r.randrange(2))))
note(
    "no line of its log's keys is there twice",
    lambda r, raw: _relined(raw, lambda lines: lines.append(lines[r.randrange(2)])),
)
note("the lines of its log are right", lambda r, raw: _relined(raw, lambda lines: _spoil(r, lines, r.randrange(2))))
note(
    "it is the text that was signed",
    lambda r, raw: (
        raw.replace(b"\n", b"\nmore\n", 1) if r.random() < 0.5 else raw.replace(b"\n\n", b"\nextension\n\n", 1)
    ),
)


def witnessed(name: str, change: Callable[[Random, list[NoteSignature]], object]) -> None:
    """A rule of the lines of witnesses: two of them cosign, then ``change`` is made."""

    def broken(random: Random, case: Case) -> Case:
        case = replace(case, books=deepcopy(case.books))
        for node, book in case.books.items():
            at = book.heads[0].at + timedelta(seconds=random.randrange(1, 900))
            book.heads[0].cosigned = {other: at for other in NODES if other != node}
        return replace(case, note=lambda raw: _relined(raw, lambda lines: change(random, lines)))

    RULES[f"witness: {name}"] = (_ANY, broken)


witnessed("no line is there twice", lambda r, lines: lines.append(lines[r.randrange(2, 6)]))
witnessed("a line of a known key is right", lambda r, lines: _spoil(r, lines, r.randrange(2, 6)))
witnessed(
    "a line says when it was made",
    lambda r, lines: (
        _put(n := {}, 0, r.randrange(2, 6))
        or _put(lines, n[0], replace(lines[n[0]], signature=bytes(8) + lines[n[0]].signature[8:]))
    ),
)  # type: ignore[arg-type]


# --- What cannot all be true ---


def book(name: str, change: Callable[[Random, Case], Case | None]) -> None:
    """Receipts that contradict each other; each verifies alone."""

    def broken(random: Random, case: Case) -> Case:
        case = replace(case, books=deepcopy(case.books), receipts=list(case.receipts))
        return change(random, case) or case

    RULES[f"whole: {name}"] = ("whole", broken)


def _relay(case: Case) -> tuple[str, int, dict[int, Any]]:
    """The entry by which the recipient's node took the message."""
    return next(found for found in events(case, "RelayAcceptance") if 11 not in found[2])


def _two_at_one_index(random: Random, case: Case) -> None:
    node, index, value = _relay(case)
    leaves = deepcopy(case.books[node].leaves)
    leaves[index] = {**value, 3: value[3] + random.randrange(1, 900), 9: random.randbytes(16)}
    size = random.randrange(index + 1, len(leaves) + 1)
    case.books[f"{node}2"] = Book(leaves, [Head(size, case.books[node].heads[0].at)])
    case.receipts.append((f"{node}2", index, 0))


def _two_trees(random: Random, case: Case) -> None:
    node, index, value = _relay(case)
    leaves = deepcopy(case.books[node].leaves)
    leaves[-1] = random.randbytes(30)
    case.books[f"{node}2"] = Book(leaves, [Head(len(leaves), case.books[node].heads[0].at)])
    case.receipts.append((f"{node}2", index, 0))
    assert value is not leaves[-1]


def _shrunk(random: Random, case: Case) -> None:
    node, index, _ = _relay(case)
    late = case.books[node].heads[0].at + timedelta(seconds=random.randrange(1, 250))
    case.books[node].heads.append(Head(index + 1, late))
    case.receipts.append((node, index, 1))


def _post_dated(random: Random, case: Case) -> None:
    node, _, value = _relay(case)
    own = case.books[node].heads[0]
    value[3] = to_ms(own.at) + 300_000 + random.randrange(1, 86_400_000)
    own.cosigned = {}


def _back_dated(random: Random, case: Case) -> None:
    node, index, _ = _relay(case)
    last = max(value[3] for book in case.books.values() for value in book.leaves if isinstance(value, dict))
    early = case.made_at.__class__.fromtimestamp(last / 1000 + 301 + random.randrange(900), case.made_at.tzinfo)
    case.books[node].heads.append(Head(index + 1, early))
    case.books[node].heads[0].at = early + timedelta(seconds=random.randrange(1, 300))
    case.receipts.append((node, index, 1))


def _insert(case: Case, node: str, at: int, value: dict[int, Any]) -> None:
    """An entry more, and its receipt; those behind it move on."""
    case.books[node].leaves.insert(at, value)
    case.books[node].heads[0].size += 1
    case.receipts[:] = [(one, index + (one == node and index >= at), head) for one, index, head in case.receipts]
    case.receipts.append((node, at, 0))


def _twice(random: Random, case: Case) -> None:
    node, index, value = random.choice(events(case, "ContentConsignment") + events(case, "SubmissionAcceptance"))
    _insert(case, node, index + 1, {**value, 3: value[3] + random.randrange(900), 9: random.randbytes(16)})


def _swapped(first: str, second: str) -> Callable[[Random, Case], None]:
    def swap(random: Random, case: Case) -> None:
        node, other, _ = events(case, second)[0]
        _, one, _ = next(found for found in events(case, first) if found[0] == node)
        leaves = case.books[node].leaves
        leaves[one], leaves[other] = leaves[other], leaves[one]
        leaves[one][9] = random.randbytes(16)  # type: ignore[index]

    return swap


def _failed_early(random: Random, case: Case) -> Case:
    node, index, value = events(case, "ContentConsignment")[0]
    failed = {
        **value,
        2: "ContentConsignmentFailure",
        8: [random.choice(("expired-unclaimed", "x"))],
        9: random.randbytes(16),
    }
    _insert(case, node, index + 1, failed)
    routing = {**case.routing, 6: max(case.routing[6], value[3] + 86_400_000)}
    return replace(case, routing=routing)


def _refused_too(random: Random, case: Case) -> None:
    node, index, value = events(case, random.choice(("ContentHandover", "ContentAccessTracking")))[0]
    reasons = [random.choice(("expired", "malformed", "x"))]
    statement = {**value[10], 2: "ContentHandoverFailure", 7: reasons}
    _insert(
        case,
        node,
        index + 1,
        {**value, 2: "ContentHandoverFailure", 8: reasons, 9: random.randbytes(16), 10: statement},
    )


def _rejected_later(random: Random, case: Case) -> None:
    node, index, value = events(case, "SubmissionAcceptance")[0]
    _insert(
        case,
        node,
        index + 1,
        {**value, 2: "SubmissionRejection", 8: [random.choice(("forbidden", "expired"))], 9: random.randbytes(16)},
    )


book("no two entries stand at one index", _two_at_one_index)  # type: ignore[arg-type]
book("no two trees have one size", _two_trees)  # type: ignore[arg-type]
book("no log shrinks", _shrunk)  # type: ignore[arg-type]
book("no entry is dated after the tree that holds it", _post_dated)  # type: ignore[arg-type]
book("no entry is dated before a tree that lacks it", _back_dated)  # type: ignore[arg-type]
book("acceptance and consignment stand there once", _twice)  # type: ignore[arg-type]
book("nothing is consigned before it is accepted", _swapped("RelayAcceptance", "ContentConsignment"))  # type: ignore[arg-type]
book("nothing is handed over before it is consigned", _swapped("ContentConsignment", "ContentHandover"))  # type: ignore[arg-type]
book("nothing is opened before it is handed over", _swapped("ContentHandover", "ContentAccessTracking"))  # type: ignore[arg-type]
book("what was consigned does not fail before its time is over", _failed_early)
book("a desk does not take and refuse one message", _refused_too)  # type: ignore[arg-type]
book("what was accepted is not rejected afterwards", _rejected_later)  # type: ignore[arg-type]


# --- The content ---

inside(
    "its id is that of the envelope in its one form",
    lambda r, v, c: _put(
        v,
        "id",
        r.choice(
            (
                v["id"].upper(),
                f"urn:uuid:{v['id']}",
                f"{{{v['id']}}}",
                v["id"].replace("-", ""),
                f" {v['id']}",
                None,
                7,
                f"{v['id'][:-1]}g",
            )
        ),
    ),
)
inside(
    "its sender is that of the envelope",
    lambda r, v, c: _put(v, "from", r.choice((v["from"].upper(), c.recipients[0], f"{v['from']} ", None, [v["from"]]))),
)
inside(
    "its recipients are those of the envelope",
    lambda r, v, c: _put(
        v,
        "to",
        r.choice(
            (v["to"] * 2, [], [c.sender, *v["to"]], v["to"][0], [v["to"]], [None], None, dict.fromkeys(v["to"], 1))
        ),
    ),
)


def content(name: str, change: Callable[[Random, bytes], bytes]) -> None:
    """A rule of the content's bytes, to which the sender committed."""
    RULES[f"content: {name}"] = (
        "content",
        lambda random, case: replace(light(case), content=lambda raw: change(random, raw), signs=False),
    )


content(
    "no name is used twice in one object",
    lambda r, raw: raw.replace(b"{", b'{"%s": "x", ' % r.choice((b"id", b"from", b"to", b"text")), 1),
)
content(
    "it is JSON in UTF-8, one object",
    lambda r, raw: r.choice(
        (
            raw + b"x",
            b"\xef\xbb\xbf" + raw,
            raw[:-1],
            raw.decode().encode("utf-16"),
            b"[" + raw + b"]",
            raw.replace(b"{", b'{"n": NaN, ', 1),
            raw.replace(b"{", b'{"n": Infinity, ', 1),
            raw.replace(b"{", b'{"n": \xff, ', 1),
        )
    ),
)
content(
    "it is no longer than a content may be",
    lambda r, raw: raw.replace(b"{", b'{"n": "%s", ' % (b"x" * (MAX_CONTENT_BYTES + r.randrange(99))), 1),
)
payload("content: it is what the sender committed to", lambda r, f: _put(f, *_committed(r, f)), "commitment")
RULES["content: every other split of salt and content is another content"] = (
    "commitment",
    _split,
)


def _committed(random: Random, files: dict[str, bytes]) -> tuple[str, bytes]:
    name = random.choice(("data/content.json", "data/salt.bin"))
    return name, files[name].replace(b"}", b" }") if name.endswith("json") else _flip(random, files[name])


@rule("officer: the signature is over this content", "officer")
def _(random: Random, case: Case) -> Case:
    return replace(
        light(case),
        signs=True,
        content=lambda raw: raw.replace(b'"text": "', b'"text": "%d' % random.randrange(10**9), 1),
    )


@rule("officer: key and signature go together", "officer")
def _(random: Random, case: Case) -> Case:
    gone = random.choice((b'"key"', b'"signature"'))
    return replace(
        light(case), signs=True, content=lambda raw: raw.replace(gone, b'"other%d"' % random.randrange(99), 1)
    )


@rule("officer: the text of the signature stands there once", "officer")
def _(random: Random, case: Case) -> Case:
    def twice(raw: bytes) -> bytes:
        at = raw.index(b'"signature": "') + 14
        return raw.replace(b"{", b'{"n%d": "%s", ' % (random.randrange(99), raw[at : at + 86]), 1)

    return replace(light(case), signs=True, content=twice)


@rule("officer: key and signature are in their one form", "officer")
def _(random: Random, case: Case) -> Case:
    def other(raw: bytes) -> bytes:
        at = raw.index(random.choice((b'"key": "', b'"signature": "')))
        start = raw.index(b': "', at) + 3
        end = raw.index(b'"', start)
        said = raw[start:end]
        last = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        wrong = last[(last.index(said[-1:]) ^ random.randrange(1, 4)) % 64 :][:1]  # in the bits that mean nothing
        return raw[:start] + random.choice((said[:-1] + wrong, said + b"=", said[:-1], b" " + said)) + raw[end:]

    return replace(light(case), signs=True, content=other)


# --- The maker ---

made(
    "it is a party of the message",
    lambda r, c: {"maker": next(f"24-7@{node}" for node in NODES if f"24-7@{node}" not in (c.sender, *c.recipients))},
)
made(
    "it signs with its own key",
    lambda r, c: {"made_by": r.choice([f"24-7@{node}" for node in NODES if f"24-7@{node}" != c.maker])},
)
made(
    "it lists every file with its hash",
    lambda r, c: {
        "statement": {
            6: lambda files: r.choice(
                (
                    {**files, "data/more": bytes(32)},
                    {name: said for name, said in files.items() if name != r.choice(sorted(files))} | {"x": bytes(32)},
                    {**files, r.choice(sorted(files)): r.randbytes(32)},
                )
            )
        }
    },
)
made(
    "it lists the receipts that are there",
    lambda r, c: {
        "statement": {
            7: lambda rows: r.choice(
                (rows[1:], [*rows, rows[0]], rows[::-1], [[rows[0][0], rows[0][1] + 1, rows[0][2]], *rows[1:]], [])
            )
        }
    },
)
made(
    "it saw of the logs what the receipts prove",
    lambda r, c: {
        "statement": {
            8: lambda sizes: r.choice(
                (
                    {log: size - 1 for log, size in sizes.items()},
                    {},
                    {**sizes, "test/gr": 9},
                    {log: -size for log, size in sizes.items()},
                )
            )
        }
    },
)
made(
    "it is about this message and envelope",
    lambda r, c: {
        "statement": r.choice(
            ({2: r.randbytes(6) + b"\x71" + r.randbytes(1) + b"\x81" + r.randbytes(7)}, {3: r.randbytes(32)})
        )
    },
)
made(
    "it is not dated before what it holds",
    lambda r, c: {"made_at": c.made_at - (c.made_at - _first(c)) - timedelta(minutes=6, seconds=r.randrange(9))},
)
made("its version is the number 1", lambda r, c: {"statement": {1: r.choice((True, 2, 0, "1"))}})
made(
    "it has exactly its fields",
    lambda r, c: {
        "statement": {r.choice((11, 0, -1)): r.randrange(9)}
        if r.random() < 0.6
        else {r.choice((2, 3, 4, 5, 6, 7, 8, 9)): None}
    },
)
made(
    "the officer is a printable name",
    lambda r, c: {"statement": {10: r.choice(("", "a\nb", "x" * 201, 7, b"Kim", "\u202e"))}},
)
made("it counts what it left out", lambda r, c: {"statement": {9: r.choice((-1, "1", True, b""))}})
tags(
    "maker: its statement is there and is one",
    lambda r, f: _put(f, "statement.cose", r.randbytes(r.randrange(1, 200))),
    "maker",
)


def _first(case: Case) -> Any:
    first = max(value[3] for book in case.books.values() for value in book.leaves if isinstance(value, dict))
    return case.made_at.__class__.fromtimestamp(first / 1000, case.made_at.tzinfo)
