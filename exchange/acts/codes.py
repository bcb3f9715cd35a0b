"""Code lists as programs get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from protocol.codes import AddedCodes, list_names, load_added_codes, load_codes

if TYPE_CHECKING:
    from exchange.desk.desk import Desk


class CodeShown(TypedDict):
    """A code and its meaning in English."""

    code: str
    label: str


class CodeListShown(TypedDict):
    """A code list."""

    list: str
    codes: list[CodeShown]


class CodeListNamed(TypedDict):
    """A code list, without its codes."""

    name: str
    version: str
    confidence: str
    source: str


class CodeListsShown(TypedDict):
    """All code lists, those too that the office added."""

    lists: list[CodeListNamed]


async def list_codes(desk: Desk) -> CodeListsShown:
    """All code lists."""
    return code_lists_object(load_added_codes(desk.home.codes))


def code_lists_object(added: AddedCodes) -> CodeListsShown:
    """All code lists as programs get them."""
    lists = [*(load_codes(known) for known in list_names()), *added.lists.values()]
    return {
        "lists": [
            {"name": one.name, "version": one.version, "confidence": one.confidence, "source": one.source}
            for one in lists
        ]
    }


async def show_codes(desk: Desk, name: str) -> CodeListShown:
    """One code list; raises :class:`NotFoundError`."""
    return code_list_object(name, load_added_codes(desk.home.codes))


def code_list_object(name: str, added: AddedCodes) -> CodeListShown:
    """One code list as programs get it."""
    return {"list": name, "codes": [{"code": one.code, "label": one.label} for one in added.entries(name)]}
