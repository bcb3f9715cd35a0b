"""IP addresses, domain names, e-mail addresses and URLs: read as people paste them, refused with the mend.

Domain names become ASCII in lower case (A-labels, by UTS 46 and IDNA 2008; symbols, which IDNA 2008 leaves out and
registries do sell, by UTS 46 alone), so that look-alikes differ. A label that is ASCII already is taken as the DNS
takes it: underscores and hyphens stand where IDNA would have none.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence

import idna
from pydantic import ValidationError
from pydantic_core import Url

from protocol.encoding.phrase import phrase
from protocol.messages.schema.fields import problem

# Addresses that many networks use at once: nobody can be found by them. Each with what it is.
_SHARED_IPV4 = {
    ipaddress.IPv4Network(network): what
    for network, what in {
        "0.0.0.0/8": phrase("stands for a network of its own"),
        "10.0.0.0/8": phrase("is private (RFC 1918)"),
        "100.64.0.0/10": phrase("lies between a provider and its customers (RFC 6598)"),
        "127.0.0.0/8": phrase("is the machine's own (loopback)"),
        "169.254.0.0/16": phrase("is link-local"),
        "172.16.0.0/12": phrase("is private (RFC 1918)"),
        "192.168.0.0/16": phrase("is private (RFC 1918)"),
        "224.0.0.0/4": phrase("is multicast"),
        "240.0.0.0/4": phrase("is reserved or broadcast"),
    }.items()
}
_SHARED_IPV6 = {
    ipaddress.IPv6Network(network): what
    for network, what in {
        "::/127": phrase("is unspecified or loopback"),
        "::ffff:0:0/96": phrase("is an IPv4 address in other clothes: write the IPv4 address"),
        "64:ff9b::/96": phrase("is an IPv4 address in other clothes (NAT64): write the IPv4 address"),
        "64:ff9b:1::/48": phrase("is a translation prefix of one network (RFC 8215)"),
        "100::/64": phrase("leads nowhere (discard prefix)"),
        "fc00::/7": phrase("is private (RFC 4193)"),
        "fe80::/10": phrase("is link-local"),
        "fec0::/10": phrase("is site-local"),
        "ff00::/8": phrase("is multicast"),
    }.items()
}
# The same as numbers: the first address, the last, and what they are.
_SHARED_NUMBERS_4, _SHARED_NUMBERS_6 = (
    [(int(network.network_address), int(network.broadcast_address), what) for network, what in shared.items()]
    for shared in (_SHARED_IPV4, _SHARED_IPV6)
)
# The largest blocks that one holder was ever given.
_WIDEST = {4: 8, 6: 12}

_DEFANGED = re.compile(r"\[[.:@]\]|\([.@]\)|[\[({](?:dot|at)[\])}]|^h(?:xx|\*\*|tt?x+)ps?:", re.IGNORECASE)
_SPACE, _LISTED, _WITH_PORT = re.compile(r"\s"), re.compile(r"[,;]"), re.compile(r"[0-9.]+:[0-9]+")
_DEFANGED_ADVICE = "this was made unclickable ([.], hxxp): write it as it was before"
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_MOST_CHARACTERS = 253
# Letters, digits and hyphens, no label of which is said to be Punycode.
_PLAIN_DOMAIN = re.compile(r"(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_TLD = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])")
_INNER = re.compile(r"[a-z0-9_-]{1,63}")
_REGISTERED = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DOMAIN_ADVICE = "write the domain name with its top-level domain, such as example.org"
_ONION_VERSION = 3

# Letters, digits, some ASCII signs, and all from U+00A1 on, said by what is left out: a set that is compiled at once.
_ATOM = re.compile(r"""[^\x00-\x20"(),:;<>@\[\\\]\x7f-\xa0]+""")
_QUOTED = re.compile(r'("(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*")@(.+)')
_EMAIL_ADVICE = "write the e-mail address as name@domain"
MAX_EMAIL = 254

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST_AND_PORT = re.compile(r"[0-9]{1,5}(?:[/?#].*)?")
_WITH_HOST = frozenset({"http", "https", "ftp", "ftps", "sftp", "ssh", "ws", "wss", "rtsp", "rtmp", "irc", "ircs"})
_URL_ADVICE = "write the URL in full, with scheme and host, such as https://example.org/page"


# --- IP addresses --------------------------------------------------------------------------------------------


def ipv4(text: str) -> str:
    """An IPv4 address that one network uses."""
    _refuse_around_address(text)
    if _WITH_PORT.fullmatch(text):
        raise problem("ipv4", "leave the port out of the address: it has a field of its own")
    if ":" in text:
        raise problem("ipv4", "this is an IPv6 address: its kind is ipv6")
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", text) and re.search(r"(^|\.)0[0-9]", text):
            raise problem("ipv4", "write the numbers without a zero in front: some programs read it as octal") from None
        raise problem("ipv4", "write the IPv4 address as four numbers up to 255, such as 203.0.113.7") from None
    _refuse_shared(address, _SHARED_NUMBERS_4)
    return str(address)


def ipv6(text: str) -> str:
    """An IPv6 address that one network uses, compressed in lower case (RFC 5952)."""
    _refuse_around_address(text)
    if "%" in text:
        raise problem("ipv6", "this is a local address with its interface (%): nobody can be found by it")
    if ":" not in text:
        raise problem("ipv6", "this is not an IPv6 address; an IPv4 address has the kind ipv4")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise problem("ipv6", "write the IPv6 address in full or compressed, such as 2001:db8::7") from None
    _refuse_shared(address, _SHARED_NUMBERS_6)
    return str(address)


def _refuse_around_address(text: str) -> None:
    if _DEFANGED.search(text):
        raise problem("ip", _DEFANGED_ADVICE)
    if "/" in text:
        raise problem("ip", "this is a network with the length of its prefix: a range has the kind ip_range")
    if text.startswith("[") or _SPACE.search(text):
        raise problem("ip", "write the address alone, without brackets, port and spaces")


def _refuse_shared(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    shared: Sequence[tuple[int, int, str]],
) -> None:
    number = int(address)
    for first, last, what in shared:
        if first <= number <= last:
            raise problem(
                "ip", "this address {what}: many networks use it at once, and nobody can be found by it", what=what
            )


def refuse_range(first: str, last: str) -> None:
    """Raise a problem for a range of two families, in the wrong order, of shared addresses, or of half the world."""
    low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    if low.version != high.version or int(low) > int(high):
        raise problem("ip_range", "both ends are of one family, the first not above the last")
    for network, what in (_SHARED_IPV4 if low.version == 4 else _SHARED_IPV6).items():
        if int(low) <= int(network.broadcast_address) and int(network.network_address) <= int(high):
            raise problem(
                "ip_range",
                "the range holds addresses each of which {what}: split it around {network}",
                what=what,
                network=network,
            )
    if int(high) - int(low) >= 1 << (low.max_prefixlen - _WIDEST[low.version]):
        raise problem(
            "ip_range",
            "the range is wider than any one holder's ({prefix}): name the provider's own",
            prefix=f"/{_WIDEST[low.version]}",
        )


def network(text: str) -> str:
    """A network with the length of its prefix, such as 203.0.113.0/24; its address is that of the network itself."""
    if _DEFANGED.search(text):
        raise problem("cidr", _DEFANGED_ADVICE)
    if not re.fullmatch(r"[0-9A-Fa-f:.]+/[0-9]{1,3}", text):
        raise problem("cidr", "write the network with the length of its prefix, such as 203.0.113.0/24")
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise problem("cidr", "write the network with the length of its prefix, such as 203.0.113.0/24") from None
    if str(found.network_address) != str(ipaddress.ip_address(text.partition("/")[0])):
        raise problem(
            "cidr",
            "the address lies inside the network: write {network} if all of it is meant, and the kind of a single"
            " address if one is",
            network=found,
        )
    return str(found)


def network_ends(text: str) -> tuple[str, str] | None:
    """The first and the last address of a network; None where :func:`network` refuses it."""
    try:
        found = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    return str(found.network_address), str(found.broadcast_address)


# --- Domain names --------------------------------------------------------------------------------------------


def domain_to_ascii(text: str) -> str:
    """The domain name in lower-case ASCII; raises a problem with the mend."""
    plain = text.lower()
    if (
        text.isascii()
        and _PLAIN_DOMAIN.fullmatch(plain)
        and len(plain) <= _MOST_CHARACTERS
        and not plain.endswith(".onion")
    ):
        return plain  # as most are: reading it finds nothing
    return _read_domain(text)


def _read_domain(text: str) -> str:
    _refuse_around_domain(text)
    labels = [_label(label) for label in _DOTS.split(_mapped(text))]
    if labels[-1] == "":
        labels.pop()
    if len(labels) < 2:
        raise problem("domain", _DOMAIN_ADVICE)
    if "" in labels:
        raise problem("domain", "two dots follow each other, or the name begins with one")
    if labels[-1].isdecimal():
        raise problem("domain", "this is not a domain name; IP addresses have their own type")
    _refuse_labels(labels)
    name = ".".join(labels)
    if len(name) > _MOST_CHARACTERS:
        raise problem("domain", "a domain name has at most 253 characters")
    if labels[-1] == "onion":
        _refuse_onion(labels[-2])
    return name


def _refuse_around_domain(text: str) -> None:
    if _DEFANGED.search(text):
        raise problem("domain", _DEFANGED_ADVICE)
    if "@" in text:
        raise problem("domain", "this is an e-mail address: its kind is email")
    if "/" in text:
        raise problem("domain", "write the domain name alone, without https:// and path; a URL has the kind url")
    if "*" in text:
        raise problem("domain", "a name with * stands for many: write the domain name itself")
    if ":" in text:
        raise problem("domain", "leave the port out: write the domain name alone")
    if re.search(r"\s", text):
        raise problem("domain", "a domain name has no spaces: write one name alone")
    if "," in text or ";" in text:
        raise problem("domain", "there is a comma or semicolon: write a dot where one is meant, and one name alone")


def _mapped(text: str) -> str:
    """``text`` as UTS 46 maps it (case, width, normalisation)."""
    if text.isascii():
        return text.lower()
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except (idna.IDNAError, UnicodeError):
        raise problem("domain", "there is a character that no domain name has (UTS 46)") from None


def _label(label: str) -> str:
    if not label.isascii():
        label = _a_label(label)
    if label.startswith("xn--"):
        _refuse_punycode(label)
    return label


def _a_label(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        pass
    # Symbols are outside IDNA 2008, and registries sell them all the same: what remains without them must hold.
    letters = "".join(character for character in label if not _is_symbol(character))
    try:
        if not letters.isascii():
            idna.check_label(letters)
    except (idna.IDNAError, UnicodeError):
        letters = label
    if letters == label or len(encoded := f"xn--{label.encode('punycode').decode('ascii')}") > 63:
        raise problem("domain", "this is not a domain name (IDNA 2008)")
    return encoded


def _is_symbol(character: str) -> bool:
    # UTS 46 took it, by a table that is newer than Python's: what that does not know (Cn) is a new emoji.
    return unicodedata.category(character) in {"So", "Sk", "Sm", "Sc", "Cn"}


def _refuse_punycode(label: str) -> None:
    """An A-label decodes to something that is not ASCII and encodes to itself again (RFC 3492)."""
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        again = decoded.encode("punycode").decode("ascii")
    except (UnicodeError, ValueError, OverflowError):
        decoded, again = "", ""
    if decoded.isascii() or again.lower() != label[4:] or not _is_visible(decoded):
        raise problem("domain", "a label beginning with xn-- is not Punycode: check for a typing error")


def _is_visible(text: str) -> bool:
    """Whether each character can be seen; joiners stand within a name, never at its ends."""
    if text.isascii():
        return text.isprintable() and " " not in text
    unseen = {"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"}
    return not any(
        unicodedata.category(character) in unseen and not (character in "\u200c\u200d" and 0 < at < len(text) - 1)
        for at, character in enumerate(text)
    )


def _refuse_labels(labels: list[str]) -> None:
    *inner, registered, top = labels
    if not _TLD.fullmatch(top) or len(top) > 63:
        raise problem("domain", "the top-level domain, behind the last dot, does not exist in this form")
    if not _REGISTERED.fullmatch(registered):
        raise problem("domain", "the name before the top-level domain has a character or hyphen that it cannot have")
    # Further left the DNS takes what its owner writes: my_bucket, r3---sn-x, -name-.
    if not all(_INNER.fullmatch(label) for label in inner):
        raise problem("domain", "a label of the domain name is longer than 63, or has a character that it cannot have")


def _refuse_onion(label: str) -> None:
    """An onion service of version 3 carries its check sum (Tor rend-spec-v3); the older version has none."""
    from base64 import b32decode
    from hashlib import sha3_256

    if re.fullmatch(r"[a-z2-7]{16}", label):
        return
    if re.fullmatch(r"[a-z2-7]{56}", label):
        raw = b32decode(label.upper())
        if raw[34] == _ONION_VERSION and sha3_256(b".onion checksum" + raw[:32] + raw[34:]).digest()[:2] == raw[32:34]:
            return
    raise problem("domain", "the name of the onion service does not fit its check sum: check for a typing error")


def host(text: str) -> str:
    """A server's name (in lower case; one label is enough inside a network) or address."""
    if _DEFANGED.search(text):
        raise problem("host", _DEFANGED_ADVICE)
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if re.fullmatch(r"[0-9]+(\.[0-9]+)+", text):
        raise problem("host", "write the IPv4 address as four numbers up to 255, without a zero in front")
    if _DOTS.search(text.rstrip(".")):
        return domain_to_ascii(text)
    if not re.fullmatch(r"[\w-]{1,63}\.?", text):
        raise problem("host", "write the server's name or address alone, without scheme, port, path and spaces")
    return _label(_mapped(text.rstrip(".")))


# --- E-mail --------------------------------------------------------------------------------------------------


def email(text: str) -> str:
    """The e-mail address with its domain in ASCII; the name before the @ stays as it is (its case may matter)."""
    _refuse_around_email(text)
    local, domain = _halves(text)
    return f"{local}@{_mail_domain(domain)}"


def _refuse_around_email(text: str) -> None:
    if text.lower().startswith("mailto:"):
        raise problem("email", "leave out mailto: and what follows a question mark; write name@domain alone")
    if "<" in text or ">" in text:
        raise problem("email", "leave out the angle brackets and the name beside them; write name@domain alone")
    if _DEFANGED.search(text):
        raise problem("email", _DEFANGED_ADVICE)
    if text[:1] in "'\u2018\u201c\u00ab" or text[-1:] in "'\"\u2019\u201d\u00bb":
        raise problem("email", "leave out the quotation marks around the address; write name@domain alone")
    if text[-1] in ",;:)":
        raise problem("email", "the mark at the end is not part of an e-mail address: leave it out")


def _halves(text: str) -> tuple[str, str]:
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return quoted[1], quoted[2]
    if _LISTED.search(text):
        raise problem("email", "there is a comma or semicolon: write one address, and a dot where one is meant")
    if _SPACE.search(text):
        raise problem("email", "an e-mail address has no spaces: write one address alone, name@domain")
    local, _, domain = text.rpartition("@")
    if not local or not domain:
        raise problem("email", _EMAIL_ADVICE)
    if "@" in local:
        raise problem("email", "there is a second @: write one address alone, name@domain")
    if not _ATOM.fullmatch(local) or not _is_visible(local):
        raise problem("email", "the name before the @ has a character that only a quoted name can have")
    if local.startswith("."):
        raise problem("email", "the name before the @ does not begin with a dot")
    return local, domain


def _mail_domain(domain: str) -> str:
    """A domain name, or an address literal (RFC 5321 §4.1.3)."""
    if not domain.startswith("["):
        if domain.endswith("."):
            raise problem("email", "the dot at the end is not part of an e-mail address: leave it out")
        return domain_to_ascii(domain)
    if not domain.endswith("]"):
        raise problem("email", "an address in square brackets ends with one")
    literal = domain[1:-1]
    if literal[:5].lower() == "ipv6:":
        return f"[IPv6:{ipv6(literal[5:])}]"
    return f"[{ipv4(literal)}]"


# --- URLs ----------------------------------------------------------------------------------------------------


def url(text: str) -> str:
    """A URL as it was written, if a browser would take it; a link of another scheme has no host."""
    if re.search(r"\s", text):
        raise problem("url", "a URL has no spaces: write one URL alone, and %20 where a space belongs to it")
    # Up to the path: look(at)me is a page as good as any.
    if _DEFANGED.search(re.split("(?<![:/])[/?#]", text, maxsplit=1)[0]):
        raise problem("url", _DEFANGED_ADVICE)
    if text[0] in "<\"'\u201c\u2018":
        raise problem("url", "leave out the brackets or quotation marks around the URL")
    found = _SCHEME.match(text)
    if found is None or _HOST_AND_PORT.fullmatch(rest := text[found.end() :]):
        raise problem("url", _URL_ADVICE)
    scheme = found[1].lower()
    if not rest:
        raise problem("url", _URL_ADVICE)
    if scheme in _WITH_HOST and not re.match(r"//[^/\\?#]", rest):
        raise problem("url", "after the scheme come two slashes and the host: {advice}", advice=_URL_ADVICE)
    if "\\" in text.partition("?")[0].partition("#")[0] and scheme in _WITH_HOST:
        raise problem("url", "there is a backslash where a slash is meant: write a slash")
    if scheme != "ed2k":  # ed2k://|file|…, whose bars no browser takes
        _refuse_authority(text, scheme)
    return text


def _refuse_authority(text: str, scheme: str) -> None:
    """Host, port and user as browsers read them (WHATWG URL)."""
    try:
        parsed = Url(text)
    except ValidationError:
        raise problem("url", "no browser reads this URL: check host, port and brackets for a typing error") from None
    if scheme in _WITH_HOST and parsed.host in {"http", "https", None}:
        raise problem("url", "the scheme is written twice, or the host is missing: {advice}", advice=_URL_ADVICE)


# --- Message-ID ----------------------------------------------------------------------------------------------


def message_id(text: str) -> str:
    """The Message-ID of an e-mail without angle brackets. Programs write others than RFC 5322 would have."""
    if text.lower().startswith(("message-id:", "in-reply-to:", "references:")):
        raise problem("message_id", "leave out the name of the header; write left@right alone")
    if "<" in text or ">" in text:
        raise problem("message_id", "write the Message-ID without angle brackets: left@right")
    if not text.startswith('"') and re.search(r"\s", text):
        raise problem("message_id", "a Message-ID has no spaces: write one alone, and join a line that was broken")
    if len(text) < 6 or text[0] == "@" or text[-1] in "@,;":
        raise problem("message_id", "write the whole Message-ID: left@right")
    if "@" not in text and not re.fullmatch(r"[\w.$+=/!#%&*~|{}^-]{8,}", text):
        raise problem(
            "message_id", "write the Message-ID as left@right; without an @ it has 8 or more letters and digits"
        )
    return text
