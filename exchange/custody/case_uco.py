"""The custody of files as CASE/UCO JSON-LD, which forensic tools read: what was found, and what was done with it.

A bundle (UCO and CASE 1.4) of one investigation. Each file is an observable with its name, size and hashes. Each step
of its chain is an investigative action by whoever did it, with the file as its object, informed by the step before. One
provenance record ties the files of a message together. Ids are made of what they name, so that the same chain gives the
same document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from exchange.custody.chain import ChainStep, Custody, CustodyFile
from protocol.encoding.instants import to_text

_CONTEXT = {
    "kb": "urn:uuid:",
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
    "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_SPACE = UUID("6f1d3f53-1a0b-5c0e-9a55-1f3f2f6f9d10")
_HASH_NAMES = {"sha256": "SHA256", "sha512": "SHA512", "sha1": "SHA1", "md5": "MD5"}


def case_document(custodies: Sequence[Custody], made_at: datetime, *, version: str) -> bytes:
    """The JSON-LD document of these chains; ``version`` is that of the program."""
    objects: dict[str, dict[str, Any]] = {}
    for found in _objects(custodies, version):
        objects.setdefault(found["@id"], found)
    document = {
        "@context": _CONTEXT,
        "@id": _id("bundle", *(custody.file.sha256 for custody in custodies)),
        "@type": "uco-core:Bundle",
        "uco-core:objectCreatedTime": _instant(made_at),
        "uco-core:object": list(objects.values()),
    }
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _objects(custodies: Sequence[Custody], version: str) -> Iterator[dict[str, Any]]:
    tool = _id("tool", version)
    yield {"@id": tool, "@type": "uco-tool:Tool", "uco-core:name": "Comity", "uco-tool:version": version}
    for case in dict.fromkeys(custody.file.case for custody in custodies):
        files = [custody.file for custody in custodies if custody.file.case == case]
        yield {
            "@id": _id("case", str(case)),
            "@type": "case-investigation:Investigation",
            "uco-core:name": f"Case {case}",
            "uco-core:object": [_ref(_file_id(file)) for file in files],
        }
    for message in dict.fromkeys(custody.file.message for custody in custodies):
        files = [custody.file for custody in custodies if custody.file.message == message]
        yield {
            "@id": _id("provenance", str(message)),
            "@type": "case-investigation:ProvenanceRecord",
            "uco-core:description": f"Files of the message {message}",
            "case-investigation:exhibitNumber": str(message),
            "uco-core:object": [_ref(_file_id(file)) for file in files],
        }
    for custody in custodies:
        yield _file(custody.file)
        yield from _actions(custody, tool)


def _file(file: CustodyFile) -> dict[str, Any]:
    size = {"@type": "xsd:integer", "@value": str(file.size_bytes)}
    return {
        "@id": _file_id(file),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [
            {
                "@id": _id("file-facet", _file_id(file)),
                "@type": "uco-observable:FileFacet",
                "uco-observable:fileName": file.original,
                "uco-observable:sizeInBytes": size,
            },
            {
                "@id": _id("content-facet", _file_id(file)),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:mimeType": file.media_type,
                "uco-observable:sizeInBytes": size,
                "uco-observable:hash": [_hash(file, kind, value) for kind, value in file.hashes.items()],
            },
        ],
    }


def _hash(file: CustodyFile, kind: str, value: str) -> dict[str, Any]:
    return {
        "@id": _id("hash", _file_id(file), kind),
        "@type": "uco-types:Hash",
        "uco-types:hashMethod": _HASH_NAMES[kind],
        "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": value},
    }


def _actions(custody: Custody, tool: str) -> Iterator[dict[str, Any]]:
    before: str | None = None
    file = _file_id(custody.file)
    for number, step in enumerate(custody.steps):
        performer = _id("identity", step.by)
        yield {"@id": performer, "@type": "uco-identity:Identity", "uco-core:name": step.by}
        action = _id("action", file, str(number), step.what, to_text(step.at))
        yield {
            "@id": action,
            "@type": "case-investigation:InvestigativeAction",
            "uco-core:name": step.what,
            "uco-core:description": _told(step),
            "uco-action:startTime": _instant(step.at),
            "uco-action:endTime": _instant(step.at),
            "uco-action:performer": _ref(performer),
            "uco-action:instrument": _ref(tool),
            "uco-action:object": _ref(file),
            **({"case-investigation:wasInformedBy": _ref(before)} if before is not None else {}),
        }
        before = action


def _told(step: ChainStep) -> str:
    return "; ".join(part for part in (step.shown.value, step.where, step.detail) if part)


def _file_id(file: CustodyFile) -> str:
    return _id("file", str(file.message), file.sealed or file.sha256, file.original)


def _id(kind: str, *names: str) -> str:
    return f"kb:{uuid5(_SPACE, json.dumps([kind, *names]))}"


def _ref(id_: str) -> Mapping[str, str]:
    return {"@id": id_}


def _instant(at: datetime) -> Mapping[str, str]:
    return {"@type": "xsd:dateTime", "@value": to_text(at)}
