"""STIX 2.1 observables in a bundle (and STIX 2.0's, which stand inside their observed data).

When an address was seen is said by the network traffic that it is the source of, or by the observed data that name it.
Patterns of indicators say what to look for, not what was seen: they are counted and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exchange.messaging.drafting.imports._found import Export, Seen
from exchange.messaging.drafting.imports._indicators import file_hash, of_kind
from exchange.messaging.drafting.imports._times import Times
from protocol.encoding.phrase import phrase

_TRANSPORT = frozenset({"tcp", "udp", "sctp", "dccp"})
_NOT_OBSERVED = frozenset({"observed-data", "identity", "marking-definition", "bundle"})
Objects = Mapping[str, Mapping[str, Any]]


def is_bundle(value: Any) -> bool:
    """Whether JSON is a bundle, or one object of STIX 2.1."""
    return isinstance(value, Mapping) and (
        (value.get("type") == "bundle" and isinstance(value.get("objects"), list)) or "spec_version" in value
    )


def read_stix(value: Mapping[str, Any], times: Times) -> Export:
    """The observables of a bundle."""
    export = Export("object")
    given = value.get("objects") if value.get("type") == "bundle" else [value]
    rows = [row for row in _list(given) if isinstance(row, Mapping)]
    objects, seen = _observables(rows)
    in_traffic = {
        str(one[end]) for one in objects.values() if one.get("type") == "network-traffic" for end in _ENDS if end in one
    }
    for number, (name, one) in enumerate(objects.items(), 1):
        _one(export, number, times, one, objects, seen.get(name, ""), in_traffic=name in in_traffic)
    for row in rows:
        if str(row.get("id")) not in objects and str(row.get("type")) not in _NOT_OBSERVED:
            named = row.get("type")
            export.left_out[str(named) if named is not None else phrase("objects without a type")] += 1
    return export


_ENDS = ("src_ref", "dst_ref")
_OBSERVABLE = frozenset(
    {
        "ipv4-addr",
        "ipv6-addr",
        "network-traffic",
        "domain-name",
        "url",
        "email-addr",
        "email-message",
        "mac-addr",
        "file",
        "artifact",
        "user-account",
    }
)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _observables(rows: list[Mapping[str, Any]]) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    """The observables by id, and when those were seen that observed data name."""
    objects: dict[str, Mapping[str, Any]] = {}
    seen: dict[str, str] = {}
    for row in rows:
        if str(row.get("type")) in _OBSERVABLE:
            objects[str(row.get("id"))] = row
        if row.get("type") != "observed-data":
            continue
        first = str(row.get("first_observed") or "")
        inner = row.get("objects")
        for key, one in inner.items() if isinstance(inner, Mapping) else ():  # STIX 2.0
            if isinstance(one, Mapping):
                name = f"{row.get('id')}/{key}"
                objects[name] = {**one, **{end: f"{row.get('id')}/{one[end]}" for end in _ENDS if end in one}}
                seen[name] = first
        for name in _list(row.get("object_refs")):
            seen.setdefault(str(name), first)
    return objects, seen


def _one(
    export: Export, number: int, times: Times, one: Mapping[str, Any], objects: Objects, seen: str, *, in_traffic: bool
) -> None:
    kind, value = str(one.get("type", "")), str(one.get("value", ""))
    if kind == "network-traffic":
        _traffic_seen(export, number, times, one, objects, seen)
    elif kind in ("ipv4-addr", "ipv6-addr"):
        if in_traffic:
            return  # it comes with its port and time
        if not seen:
            export.left_out[phrase("{kind} of which it is not said when it was seen", kind=kind)] += 1
            return
        export.session(number, times, Seen(value, seen))
    else:
        identifiers = list(_identifiers(kind, one, value))
        if not identifiers:
            export.left_out[kind or phrase("objects without a type")] += 1
        read = times.read(seen) if seen else None
        for identifier in identifiers:
            export.add(number, identifier, read.instant if read is not None and not read.problem else None)


def _traffic_seen(
    export: Export, number: int, times: Times, one: Mapping[str, Any], objects: Objects, seen: str
) -> None:
    source, target = (objects.get(str(one.get(end, "")), {}) for end in _ENDS)
    if not source.get("value"):
        export.left_out[phrase("network-traffic without a source address")] += 1
        return
    protocols = [str(name).lower() for name in _list(one.get("protocols"))]
    export.session(
        number,
        times,
        Seen(
            str(source["value"]),
            str(one.get("start") or seen),
            port=str(one.get("src_port") or ""),
            protocol=next((name for name in protocols if name in _TRANSPORT), ""),
            destination=str(target.get("value") or ""),
            destination_port=str(one.get("dst_port") or ""),
        ),
    )


def _identifiers(kind: str, one: Mapping[str, Any], value: str) -> Iterator[dict[str, Any]]:
    if kind in ("file", "artifact"):
        hashes = one.get("hashes")
        for algorithm, digest in hashes.items() if isinstance(hashes, Mapping) else ():
            if found := file_hash(str(algorithm), str(digest)):
                yield found
    elif kind == "user-account":
        handle = one.get("account_login") or one.get("user_id") or one.get("display_name")
        if handle and one.get("account_type"):
            account = {"kind": "account", "service": str(one["account_type"]), "handle": str(handle)}
            yield account | ({"user_id": str(one["user_id"])} if one.get("user_id") else {})
    elif kind == "email-message":
        if one.get("message_id"):
            yield {"kind": "message_id", "message_id": str(one["message_id"]).strip("<>")}
    elif found := of_kind(kind, value):
        yield found
