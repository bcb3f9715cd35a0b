"""Where a node listens: on every address that its setting names, and a typed error when it cannot."""

from __future__ import annotations

import socket

import pytest

from node.http.descriptors import Descriptors, raise_limit
from node.http.sockets import listening_sockets
from protocol.errors import SettingsError, UnavailableError


def reached(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as connecting:
        connecting.settimeout(10)
        return connecting.connect_ex((host, port)) == 0


@pytest.mark.outside
def test_every_address_of_both_families_is_one_setting() -> None:
    try:
        (one,) = listening_sockets("::", 0, "[::]:0")
    except (UnavailableError, SettingsError):
        pytest.skip("this machine has no IPv6")
    with one:
        port = one.getsockname()[1]
        assert reached("127.0.0.1", port)
        assert reached("::1", port)


@pytest.mark.outside
def test_one_address_is_that_address_alone() -> None:
    (one,) = listening_sockets("127.0.0.1", 0, "127.0.0.1:0")
    with one:
        assert one.getsockname()[0] == "127.0.0.1"
        assert reached("127.0.0.1", one.getsockname()[1])


@pytest.mark.outside
def test_what_is_in_use_or_no_address_is_told_by_its_setting() -> None:
    (one,) = listening_sockets("127.0.0.1", 0, "127.0.0.1:0")
    with one:
        port = one.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"cannot listen on here:{port}: Address already in use"):
            listening_sockets("127.0.0.1", port, f"here:{port}")
    with pytest.raises((SettingsError, UnavailableError), match=r"cannot listen on 203\.0\.113\.1:0"):
        listening_sockets("203.0.113.1", 0, "203.0.113.1:0")


def test_a_process_asks_for_all_descriptors_that_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_024, 65_536))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: asked.append(limits))
    assert raise_limit() == Descriptors(65_536)
    assert asked == [(65_536, 65_536)]


def test_a_process_that_may_not_ask_goes_on_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("resource.getrlimit", lambda _: (1_024, 65_536))
    monkeypatch.setattr("resource.setrlimit", forbidden)
    assert raise_limit() == Descriptors(1_024)
