"""Which addresses a program may connect to: those of the public network, and the networks that its operator allows.

Where a member is reached stands on its card, which that member signs alone: a card could send this program's requests
to its own machine or to its operator's network. So each address is judged when it is connected to, after the name was
resolved, and also when the card gives an address and no name.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Network = IPv4Network | IPv6Network

# IPv4 addresses behind a translator (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
# The same for every address: a library that tries several reports them as one.
_REFUSED = "the address is not of the public network"


class AddressRefusedError(OSError):
    """The address is of a network that the settings do not allow."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, _REFUSED)


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Whether to connect to ``address`` (a number, not a name)."""
    try:
        parsed = _inner(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(parsed.version == network.version and parsed in network for network in allowed):
        return True
    special = parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified or parsed.is_link_local
    return parsed.is_global and not special and not (isinstance(parsed, IPv6Address) and parsed.is_site_local)


def guarded_sockets(allowed: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """A socket factory for connections to allowed addresses alone; it raises :class:`AddressRefusedError`."""

    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if not is_allowed(str(address[0]), allowed):
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)

    return make


def is_refusal(problem: BaseException | None) -> bool:
    """Whether ``problem`` came from an address that was refused."""
    while problem is not None:
        if isinstance(problem, AddressRefusedError) or _REFUSED in str(problem):
            return True
        problem = problem.__cause__ or getattr(problem, "os_error", None)
    return False


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address
