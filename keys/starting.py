"""What a program puts off, or leaves out, so that it starts at once.

Nothing here changes what a program does. Outside of a program (a test, a script) the libraries are as they always are.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

# Parts of libraries that load others which nothing here uses: a token by their hands, and a second way to the network.
# Each has one class, with the fields that its library reads when it loads.
_LEFT_OUT: dict[str, tuple[str, dict[str, object]]] = {
    "securesystemslib.signer._hsm_signer": ("HSMSigner", {"SCHEME": "hsm"}),
    "tuf.ngclient.urllib3_fetcher": ("Urllib3Fetcher", {}),
}
_WRITER = "_create_fn"
_written_at_once: Callable[..., Any] | None = getattr(dataclasses, _WRITER, None)
_waiting: list[Callable[[], object]] = []
_loading = threading.Lock()


def start_lean() -> None:
    """Put off and leave out, from now on: what is loaded already stays as it is."""
    write_late()
    # Else Pydantic looks through all that is installed for programs that want to see what it validates.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.meta_path.insert(0, _LeftOut())


@contextmanager
def without_collections() -> Iterator[None]:
    """The garbage collector waits: for work that makes a hundred thousand objects which stay, and no garbage.

    It would walk over all of them again and again as they become more. It waits in all threads of the program, so this
    is for work that ends by itself within seconds.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _LeftOut:
    """Finds the modules of :data:`_LEFT_OUT`, each with nothing but its one class."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in _LEFT_OUT else None  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """A module of the usual kind."""

    def exec_module(self, module: ModuleType) -> None:
        left_out, fields = _LEFT_OUT[module.__name__]
        setattr(module, left_out, type(left_out, (), dict(fields)))


def load_http() -> None:
    """Load aiohttp, without the certificate authorities of the system.

    It makes two TLS contexts for itself when it loads, and reads all authorities for each. No connection here uses
    them: each is given its context (:mod:`keys.transport.tls`). Made so, they trust nobody.
    """
    import ssl

    with _loading:
        if "aiohttp" in sys.modules:
            return
        make, here = ssl.create_default_context, threading.get_ident()

        def trusting_nobody(*given: Any, **named: Any) -> ssl.SSLContext:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if threading.get_ident() == here else make(*given, **named)

        ssl.create_default_context = trusting_nobody
        try:
            import_module("aiohttp")
        finally:
            ssl.create_default_context = make


# --- Methods of dataclasses -------------------------------------------------------------------------------------------


def write_late() -> None:
    """Write the methods of every dataclass that is defined from now on when they are first called.

    The standard library writes each method as text and compiles it where the class is defined: some 1,300 before a desk
    is open, of which a command calls a tenth. Here a method is a stand-in that writes the same text at its first call
    and takes its own place in the class. The text is the standard library's, so what a class does is the same; where
    the library has no such function (Python 3.13 writes a class at once), it is left alone.
    """
    if _written_at_once is not None:
        setattr(dataclasses, _WRITER, _stand_in)


def write_waiting() -> None:
    """Write all that was not called yet: for a process whose copies would each write it again."""
    while _waiting:
        _waiting.pop()()


def _stand_in(name: str, *parts: Any, **scope: Any) -> Callable[..., Any]:
    """The method ``name``, whose text is made of ``parts``, to be written in ``scope`` when it is called."""
    written: list[Callable[..., Any]] = []

    def write() -> Callable[..., Any]:
        if not written:
            assert _written_at_once is not None  # noqa: S101 - else nothing stands in for it
            real = _written_at_once(name, *parts, **scope)
            real.__qualname__ = method.__qualname__
            written.append(real)
        return written[0]

    def method(self: Any, /, *given: Any, **named: Any) -> Any:
        real = write()
        for owner in type(self).__mro__:
            if vars(owner).get(name) is method:
                setattr(owner, name, real)
        return real(self, *given, **named)

    method.__name__ = name
    _waiting.append(write)
    return method
