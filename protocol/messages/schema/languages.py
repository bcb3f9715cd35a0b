"""Languages as BCP 47 names them (RFC 5646): ``ko``, ``sr-Latn``, ``zh-Hant``, ``pt-BR``, ``cnr``."""

from __future__ import annotations

import re

from protocol.errors import MalformedError

# Language, script, region, variants. Extensions and private use say how to sort or count, not what is written.
_TAG = re.compile(
    r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|[0-9]{3}))?((?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*)"
)
MAX_TAG = 35  # RFC 5646 §4.4.1


def language_tag(text: str, *, known: bool) -> str:
    """``text`` in the casing of RFC 5646 §2.1.1; ``known`` also asks the registry of languages, which grows.

    Raises :class:`MalformedError` with the mend.
    """
    found = _TAG.fullmatch(text)
    if found is None or len(text) > MAX_TAG:
        if "_" in text:
            raise MalformedError("write the parts of a language tag with hyphens, such as pt-BR")
        raise MalformedError("write the language as a tag of BCP 47, such as ko, pt-BR, zh-Hant or cnr")
    language, script, region, variants = found.groups()
    tag = language.lower()
    tag += f"-{script.title()}" if script else ""
    tag += f"-{region.upper()}" if region else ""
    tag += variants.lower()
    if known:
        _refuse_unknown(tag)
    return tag


def _refuse_unknown(tag: str) -> None:
    import langcodes  # the registry takes a while to load: only for tags that are not in our list
    from langcodes.data_dicts import LANGUAGE_ALPHA3, LANGUAGE_ALPHA3_BIBLIOGRAPHIC

    language = tag.partition("-")[0]
    for short, longer in (*LANGUAGE_ALPHA3.items(), *LANGUAGE_ALPHA3_BIBLIOGRAPHIC.items()):
        if language == longer and len(short) == 2:
            raise MalformedError(f"a language with a code of two letters is written with it: did you mean {short}?")
    if not langcodes.tag_is_valid(tag):
        raise MalformedError("the registry of BCP 47 has no such language, script or region: check for a typing error")
