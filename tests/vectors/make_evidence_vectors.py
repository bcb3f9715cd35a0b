"""Writes ``evidence.json``: evidence bags that hold, and one that breaks each rule (docs/evidence-bag.md, 7).

Run as ``python -m tests.vectors.make_evidence_vectors``. Every bag is signed with real keys, and a bag that
breaks a rule is signed anew, so that no signature hides the rule. Keys and ML-DSA-44 signatures are random: the file
is kept as long as its names are these. ``--anew`` writes it in any case.

``verify_bag.py`` in each bag is a line of text, so that the vectors do not change with the program.
"""

from __future__ import annotations

import io
import json
import stat
import sys
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest

from protocol.encoding.instants import to_text
from tests.hostile.test_evidence_readings import DIRECTORY_RULES
from tests.worlds import forged_bags as courts
from tests.worlds.broken_bags import RULES
from tests.worlds.forged_bags import Case, Court, Verdict, full, honest, light, manifest

TARGET = Path(__file__).with_name("evidence.json")
PROGRAM = b"# No program: whoever reads this vector has one.\n"
DIRECTORY = "directory: "
CIPHERTEXT_BYTES = 48  # what is sealed is opened by nobody here

TOO_LARGE = ("envelope: it is no larger than an envelope may be", "content: it is no longer than a content may be")
MADE = "made"

Files = dict[str, bytes]


@dataclass(frozen=True)
class Bag:
    """A bag that both verifiers judged: ``rule`` is the one that it breaks, else what it is an example of.

    ``about``: what a bag that holds says, or which checks of each verifier fail.
    """

    rule: str
    folder: str
    files: Files
    now: datetime
    holds: bool
    about: dict[str, Any]


# --- Bags ---


def _examples() -> dict[str, Callable[[Case], bool]]:
    """What each example shows, and how to know it among random honest bags."""
    return {
        "no receipt, nothing disclosed": lambda case: not case.receipts and not case.disclosed,
        "no receipt, content disclosed": lambda case: not case.receipts and case.disclosed,
        "one recipient, all of its receipts": lambda case: len(case.recipients) == 1 and len(case.receipts) >= 5,
        "two recipients": lambda case: len(case.recipients) == 2 and 3 <= len(case.receipts) <= 5,
        "an officer signed the content": lambda case: case.disclosed and case.signs and len(case.receipts) == 2,
        "the maker names its officer": lambda case: case.officer == "Amélie" and len(case.receipts) == 1,
        "a recipient made it": lambda case: case.maker != case.sender and len(case.receipts) == 2,
        "the recipient refused the message": lambda case: _shows(case, "ContentHandoverFailure"),
        "the message expired": lambda case: _shows(case, "ContentConsignmentFailure"),
        "an acknowledgement was asked for": lambda case: 8 in case.routing and len(case.receipts) == 1,
    }


def _shows(case: Case, event: str) -> bool:
    shown = [case.books[node].leaves[index] for node, index, _ in case.receipts]
    return len(shown) <= 3 and any(isinstance(leaf, dict) and leaf[2] == event for leaf in shown)


def bags(court: Court) -> Iterator[Bag]:
    """Those that hold, then those that break a rule."""
    random = Random(21)
    for what, fits in _examples().items():
        yield _judged(court, what, next(case for case in iter(lambda: honest(random), None) if fits(case)))
    for grade in ("witnessed", "log", "none"):
        yield _dated(court, random, grade)
    story = min((full(random) for _ in range(20)), key=lambda case: len(case.receipts))
    yield _judged(court, "an archive added a manifest", replace(light(story), tags=_sha512))
    for rule, (_, broken) in RULES.items():
        if rule in TOO_LARGE:
            continue
        yield _smallest(court, rule, story, lambda broken=broken: broken(random, story))  # type: ignore[misc]
    folder, files = court.files_of(light(story))
    for name, breach in DIRECTORY_RULES.items():
        of_directory = breach(court, random)
        kept = {name: content for name, content in files.items() if name not in court.files}
        about = {"comity": ["directory"], "program": ["directory"]}
        yield Bag(DIRECTORY + name, folder, _relisted(kept | of_directory), story.now, False, about)


def _dated(court: Court, random: Random, grade: str) -> Bag:
    while True:
        case = honest(random)
        if len(case.receipts) <= 2 and court.standalone(*court.files_of(case), case.now).grade == grade:
            return _judged(court, f"dated by: {grade}", case)


def _smallest(court: Court, rule: str, story: Case, broken: Callable[[], Case]) -> Bag:
    """A breach shown by as few receipts as show it."""
    for _ in range(9):
        case = broken()
        changed = [
            receipt for receipt in case.receipts if receipt not in story.receipts or _differs(case, story, receipt)
        ]
        with_others = ([*changed, other] for other in case.receipts if other not in changed)
        for receipts in ([case.receipts[0]], changed, *with_others, case.receipts):
            small = replace(case, receipts=receipts)
            try:
                folder, files = court.files_of(small)
            except (IndexError, KeyError):
                continue  # the breach was in what was left out
            verdicts = _verdicts(court, folder, files, case.now)
            if not receipts or any(verdict.ok for verdict in verdicts):
                continue
            if len(receipts) == len(case.receipts) or _same_failures(court, case, verdicts):
                return _failing(rule, folder, files, case.now, verdicts)
    raise ValueError(f"nothing breaks {rule}")


def _differs(case: Case, story: Case, receipt: tuple[str, int, int]) -> bool:
    node, index, _ = receipt
    return case.books[node].leaves[index] != story.books[node].leaves[index]


def _same_failures(court: Court, case: Case, small: tuple[Verdict, Verdict]) -> bool:
    """Whether the smaller bag fails by what the whole fails by."""
    whole = _verdicts(court, *court.files_of(case), case.now)
    return all(
        {_kind(name) for name in one.failed or ["file"]} == {_kind(name) for name in other.failed or ["file"]}
        for one, other in zip(whole, small, strict=True)
    )


def _kind(check: str) -> str:
    return "receipt" if check.startswith("receipts/") else check


def _judged(court: Court, what: str, case: Case) -> Bag:
    folder, files = court.files_of(case)
    ours, other = _verdicts(court, folder, files, case.now)
    if not ours.ok or not other.ok or set(ours.unchecked) != set(other.unchecked):
        raise ValueError(f"{what}: {ours} {other}")
    about = {"grade": ours.grade, "unchecked": sorted(ours.unchecked)}
    return Bag(what, folder, files, case.now, True, about)


def _failing(rule: str, folder: str, files: Files, now: datetime, verdicts: tuple[Verdict, Verdict]) -> Bag:
    ours, other = (sorted(set(verdict.failed or ["file"])) for verdict in verdicts)
    return Bag(rule, folder, files, now, False, {"comity": ours, "program": other})


def _verdicts(court: Court, folder: str, files: Files, now: datetime) -> tuple[Verdict, Verdict]:
    return court.comity(folder, files, now), court.standalone(folder, files, now)


def _sha512(files: Files) -> None:
    payload = {name: content for name, content in files.items() if name.startswith("data/")}
    files["manifest-sha512.txt"] = manifest(payload, "sha512")


def _relisted(files: Files) -> Files:
    """The files with manifests that fit them."""
    payload = {name: content for name, content in files.items() if name.startswith("data/")}
    files = {**files, "manifest-sha256.txt": manifest(payload)}
    tags = {name: content for name, content in files.items() if name[:5] != "data/" and name[:3] != "tag"}
    return {**files, "tagmanifest-sha256.txt": manifest(tags)}


# --- Disclosures ---


def disclosures(case: Case, envelope: bytes, content: bytes) -> Iterator[tuple[str, bool, str]]:
    """What it is an example of or breaks, whether it opens the envelope, and the file."""
    message = str(UUID(bytes=case.routing[2]))
    true = {
        "schema": "comity/disclosure/1",
        "message": message,
        "envelope": sha256(envelope).hexdigest(),
        "salt": case.salt.hex(),
        "content": content.decode(),
    }

    def of(**other: object) -> str:
        return json.dumps(true | other, ensure_ascii=False)

    yield "as it is written", True, json.dumps(true, ensure_ascii=False, indent=1) + "\n"
    yield (
        "the order of members and the blanks between them do not matter",
        True,
        json.dumps(dict(reversed(true.items()))),
    )
    yield "it is of this schema", False, of(schema="comity/disclosure/2")
    yield "it has exactly its members", False, of(remark="x")
    yield "no member stands twice", False, '{"content": "another", ' + of()[1:]
    yield "the id is in its one form", False, of(message=message.upper())
    yield "hexadecimal is in lower case and has no blanks", False, of(salt=case.salt.hex(" "))
    yield "it is about this message", False, of(message=message[:-1] + ("0" if message[-1] != "0" else "1"))
    yield "it is about this envelope", False, of(envelope=bytes(32).hex())
    yield "the salt has 32 bytes", False, of(salt=case.salt.hex()[2:])
    yield "the salt is that of the commitment", False, of(salt=bytes(32).hex())
    yield "the content is that of the commitment", False, of(content=content.decode() + " ")
    yield (
        "no byte passes from the content to the salt",
        False,
        of(salt=(case.salt + content[:1]).hex(), content=content[1:].decode()),
    )


# --- Containers ---


def containers() -> Iterator[tuple[str, bool, bytes]]:
    """What it is an example of or breaks, whether it is read, and the ZIP."""
    two = {"bag/a.txt": b"a", "bag/data/b.bin": b"b"}
    yield "stored", True, _zip(two)
    yield "deflated", True, _zip(two, compress_type=zipfile.ZIP_DEFLATED)
    yield "folders have entries of their own", True, _zip({"bag/": b""}, external_attr=0o40755 << 16, more=two)
    for rule, name in {
        "no name leads out of its folder": "bag/../../b.txt",
        "no name is absolute": "/b.txt",
        "no name has a backslash": "bag\\b.txt",
        "no name has a control character": "bag/a\nb.txt",
        "no part of a name begins with a dot": "bag/.b",
        "no part of a name is empty": "bag//b",
        "no part of a name is longer than 151": "bag/" + "b" * 152,
        "names are of ASCII": "bag/\u202etxt.b",
        "no two names differ by letters' case alone": "BAG/A.TXT",
        "there is one folder": "other/b.txt",
    }.items():
        yield rule, False, _zip(two | {name: b"x"})
    yield (
        "nothing is a link",
        False,
        _zip({"bag/b": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16, more=two),
    )
    yield "nothing is a device", False, _zip({"bag/b": b""}, external_attr=(stat.S_IFIFO | 0o644) << 16, more=two)
    yield "entries are stored or deflated", False, _zip({"bag/b": b"x"}, compress_type=zipfile.ZIP_BZIP2, more=two)
    deflated = zipfile.ZIP_DEFLATED
    yield "nothing unpacks to over 100 times its size", False, _zip({"bag/b": bytes(1 << 20)}, compress_type=deflated)
    yield "nothing is encrypted", False, _encrypted(_zip({"bag/b": b"x"}))
    yield "there is a folder", False, _zip({})


def _zip(files: Mapping[str, bytes], more: Mapping[str, bytes] | None = None, **of_entry: int) -> bytes:
    """A ZIP; ``of_entry`` of ``files``, not of ``more``."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in {**files, **(more or {})}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            if name in files:
                for field, value in of_entry.items():
                    setattr(info, field, value)
            archive.writestr(info, content)
    return written.getvalue()


def _encrypted(archive: bytes) -> bytes:
    """The ZIP of one entry with the bit set that says it is encrypted."""
    local, central = archive.index(b"PK\x03\x04") + 6, archive.index(b"PK\x01\x02") + 8
    changed = bytearray(archive)
    for at in (local, central):
        changed[at] |= 1
    return bytes(changed)


# --- The file ---


def vectors() -> dict[str, Any]:
    """The content of the file."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(courts, "verifier", lambda: PROGRAM)
        for randomised in ("sign_checkpoint", "cosign"):  # signed once, so that bags share what they have in common
            patch.setattr(courts, randomised, _once(getattr(courts, randomised)))
        court = Court(Path(folder))
        court.sealed[2] = court.sealed[2][:CIPHERTEXT_BYTES]
        made = list(bags(court))
        root = sha256(court.root).hexdigest()
        case = honest(Random(22))
        shown = court.files_of(replace(case, disclosed=True))[1]
        envelope, content = shown["data/envelope.cose"], shown["data/content.json"]
    parts = [
        part
        for bag in made
        for name, content in bag.files.items()
        if content != _as_made(bag.files, name)
        for part in _parts(content)
    ]
    return {
        "root_sha256": root,
        "texts": {name_of(part): part.decode() for part in sorted(parts) if _is_text(part)},
        "bytes": {name_of(part): b64encode(part).decode() for part in sorted(parts) if not _is_text(part)},
        "holds": [_written(bag) for bag in made if bag.holds],
        "fails": [_written(bag) for bag in made if not bag.holds],
        "disclosures": {
            "envelope": b64encode(envelope).decode(),
            "cases": [
                {"rule": rule, "opens": opens, "file": text}
                for rule, opens, text in disclosures(case, envelope, content)
            ],
        },
        "containers": [{"rule": rule, "read": read, "zip": data.hex()} for rule, read, data in containers()],
    }


def _parts(content: bytes) -> list[bytes]:
    """What a file is put together from: receipts of one log have their checkpoint in common."""
    head, between, checkpoint = content.partition(b"\n\n")
    return [head + between, checkpoint] if head.startswith(b"c2sp.org/tlog-proof") and checkpoint else [content]


def _is_text(content: bytes) -> bool:
    try:
        return b"\r" not in content and json.loads(json.dumps(content.decode())).encode() == content
    except ValueError:
        return False


def _once(sign: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[Any, Any] = {}

    def signed(checkpoint: Any, signer: Any, at: datetime) -> Any:
        key = (checkpoint.text, id(signer), at)
        if key not in kept:
            kept[key] = sign(checkpoint, signer, at)
        return kept[key]

    return signed


def _as_made(files: Files, name: str) -> bytes | None:
    """The manifest of that name as it is made from the other files; None for other files."""
    return _relisted(files)[name] if name in ("manifest-sha256.txt", "tagmanifest-sha256.txt") else None


def name_of(content: bytes) -> str:
    """How a part of a file is named."""
    return sha256(content).hexdigest()[:16]


def _written(bag: Bag) -> dict[str, Any]:
    files = {
        name: MADE if content == _as_made(bag.files, name) else "+".join(map(name_of, _parts(content)))
        for name, content in sorted(bag.files.items())
    }
    named = {"rule": bag.rule, "now": to_text(bag.now), "folder": bag.folder, "files": files}
    return named | bag.about


def files_in(made: dict[str, Any], case: dict[str, Any]) -> Files:
    """The files of a bag in the vectors."""
    given = {name: content for name, content in case["files"].items() if content != MADE}
    parts = {name: text.encode() for name, text in made["texts"].items()}
    parts |= {name: b64decode(text) for name, text in made["bytes"].items()}
    files = {name: b"".join(parts[part] for part in content.split("+")) for name, content in given.items()}
    for name in sorted(case["files"].keys() - given):  # the manifest before that of the tag files, which lists it
        files[name] = _relisted(files)[name]
    return files


def rules() -> list[str]:
    """What the bags of the file break, in order."""
    return [*(rule for rule in RULES if rule not in TOO_LARGE), *(DIRECTORY + name for name in DIRECTORY_RULES)]


if __name__ == "__main__":
    if "--anew" in sys.argv or not TARGET.exists():
        TARGET.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        kept = json.loads(TARGET.read_text(encoding="utf-8"))
        if [case["rule"] for case in kept["fails"]] != rules():
            TARGET.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
