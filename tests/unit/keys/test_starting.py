"""What a program puts off or leaves out so that it starts at once changes nothing of what it does."""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any, ClassVar

import pytest

from keys.starting import without_collections, write_late, write_waiting


@pytest.fixture
def late() -> Iterator[None]:
    written_at_once = dataclasses._create_fn  # type: ignore[attr-defined]
    write_late()
    yield
    dataclasses._create_fn = written_at_once  # type: ignore[attr-defined]


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_waits_and_is_then_as_it_was(collects: bool) -> None:
    before, seen = gc.isenabled(), []
    (gc.enable if collects else gc.disable)()
    try:
        with suppress(KeyError), without_collections():
            with without_collections():
                seen.append(gc.isenabled())
            seen.append(gc.isenabled())
            raise KeyError
        assert seen == [False, False]
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()


pytestmark = pytest.mark.skipif(not hasattr(dataclasses, "_create_fn"), reason="this Python writes a class at once")


def define() -> tuple[type[Any], type[Any]]:
    """Two frozen classes of which one is made of the other, with every kind of field."""

    @dataclass(frozen=True, slots=True)
    class Base:
        """One."""

        name: str
        size: int = 3
        shown: tuple[str, ...] = field(default=(), repr=False)
        aside: list[int] = field(default_factory=list, compare=False)
        made: ClassVar[int] = 0

        def __post_init__(self) -> None:
            type(self).made += 1
            if self.size < 0:
                raise ValueError("less than nothing")

    @dataclass(frozen=True, slots=True, kw_only=True, order=True)
    class More(Base):
        """One more."""

        last: int = 0

    return Base, More


def observed(base: Any, more: Any) -> list[Any]:
    """What the two classes do, as far as it can be told from outside."""
    one, same, other = base("a"), base("a", 3, aside=[1]), base("a", 4)
    child = more(name="b", last=2)
    found = [
        repr(one),
        repr(child),
        one == same,
        one == other,
        one == child,
        hash(one) == hash(same),
        len({one, same, other}),
        child < more(name="b", last=3),
        replace(child, last=9).last,
        copy.deepcopy(other) == other,
        dataclasses.asdict(child),
        base.__match_args__,
        base.made,
        more.made,
    ]
    for wrong in (base, lambda: base("a", -1), lambda: base("a", of=1), lambda: more("b", 1, (), [], 5)):
        with pytest.raises((TypeError, ValueError)) as refused:
            wrong()
        found.append(str(refused.value))
    for act in (lambda: setattr(one, "name", "c"), lambda: delattr(one, "name")):
        with pytest.raises(FrozenInstanceError) as refused:
            act()
        found.append(str(refused.value))
    return found


def test_a_class_whose_methods_are_written_late_does_what_any_does(late: None) -> None:
    late_classes = define()
    assert vars(late_classes[0])["__init__"].__code__.co_varnames[:1] == ("self",)
    with pytest.MonkeyPatch.context() as patched:
        import keys.starting

        patched.setattr(dataclasses, "_create_fn", keys.starting._written_at_once)
        at_once = define()
    assert observed(*late_classes) == observed(*at_once)


def test_a_method_that_was_called_once_has_taken_its_place(late: None) -> None:
    base, more = define()
    stands_in = vars(base)["__init__"]
    more(name="b")
    base("a")
    written = vars(base)["__init__"]
    assert written is not stands_in
    assert written.__qualname__ == f"{base.__qualname__}.__init__"
    assert stands_in is not vars(more)["__init__"]


def test_what_waits_to_be_written_is_written_for_all_copies_of_a_process(
    late: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, _more = define()
    write_waiting()

    def again(*_parts: Any, **_scope: Any) -> Any:
        raise AssertionError("it was written already")

    monkeypatch.setattr("keys.starting._written_at_once", again)
    assert base("a").size == 3


_PROGRAM = """
import json, ssl, sys
sys.argv = ["comity", "duty", "show", "--home", "/nowhere"]
from exchange.cli.main import main
try:
    main()
except SystemExit:
    pass
{then}
"""


def told(then: str) -> Any:
    """What a program prints as JSON that began as ``comity`` does."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(then=then)], env=os.environ, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.outside
def test_the_directory_is_verified_without_a_token_library_and_a_second_way_to_the_network() -> None:
    names = told(
        "import keys.directory.metadata.client, keys.members.bootstrap\n"
        "print(json.dumps([n for n in ('pkcs11', 'urllib3', 'importlib.metadata', 'securesystemslib._gpg',\n"
        "    'tuf.ngclient.updater') if n in sys.modules]))"
    )
    assert names == ["tuf.ngclient.updater"]


@pytest.mark.outside
def test_a_context_of_the_http_library_trusts_nobody_and_a_public_one_the_systems_authorities() -> None:
    trusted = told(
        "from keys.starting import load_http\n"
        "from keys.transport.tls import public_context\n"
        "load_http()\n"
        "from aiohttp import connector\n"
        "made = ssl.create_default_context\n"
        "own, public = connector._SSL_CONTEXT_VERIFIED, public_context()\n"
        "unused = connector._SSL_CONTEXT_UNVERIFIED\n"
        "system = ssl.create_default_context()\n"
        "later = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "later.set_default_verify_paths()\n"
        "print(json.dumps([own.cert_store_stats()['x509'], own.verify_mode, own.check_hostname,\n"
        "    public.cert_store_stats() == system.cert_store_stats(), unused.cert_store_stats()['x509'],\n"
        "    later.cert_store_stats() == system.cert_store_stats()]))"
    )
    assert trusted == [0, 2, True, True, 0, True]


def test_many_objects_that_were_made_together_are_left_alone_and_few_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    left_alone: list[bool] = []
    monkeypatch.setattr("keys.starting._MANY_OBJECTS", 2_000)
    monkeypatch.setattr("keys.starting.gc.freeze", lambda: left_alone.append(True))
    gc.collect()
    with without_collections():
        few = [[number] for number in range(200)]
    assert (len(few), left_alone) == (200, [])
    with without_collections():
        with without_collections():
            many = [[number] for number in range(4_000)]
        assert left_alone == []  # the outer one says when it is over
    assert (len(many), left_alone) == (4_000, [True])
