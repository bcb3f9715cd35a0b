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

# Parts of libraries that load others which nothing here uses: a token by their hands, signatures by other programs and
# by services, a second way to the network, and Pydantic's look at all that is installed. Each has the names that its
# library wants of it when it loads. A signer by their hands is one that no address of a key leads to.
_LEFT_OUT: dict[str, dict[str, object]] = {
    "securesystemslib.signer._aws_signer": {"AWSSigner": type("AWSSigner", (), {"SCHEME": "awskms"})},
    "securesystemslib.signer._azure_signer": {"AzureSigner": type("AzureSigner", (), {"SCHEME": "azurekms"})},
    "securesystemslib.signer._gcp_signer": {"GCPSigner": type("GCPSigner", (), {"SCHEME": "gcpkms"})},
    "securesystemslib.signer._gpg_signer": {
        "GPGKey": type("GPGKey", (), {}),
        "GPGSigner": type("GPGSigner", (), {"SCHEME": "gnupg"}),
    },
    "securesystemslib.signer._hsm_signer": {"HSMSigner": type("HSMSigner", (), {"SCHEME": "hsm"})},
    "securesystemslib.signer._vault_signer": {"VaultSigner": type("VaultSigner", (), {"SCHEME": "hv"})},
    "tuf.ngclient.urllib3_fetcher": {"Urllib3Fetcher": type("Urllib3Fetcher", (), {})},
    # The library falls back on this for its own kind of Ed25519 key, which loads nowhere here: nothing calls it.
    "securesystemslib._vendor.ed25519.ed25519": {
        "SignatureMismatch": type("SignatureMismatch", (Exception,), {}),
        "checkvalid": None,
    },
    "securesystemslib.signer._crypto_signer": {"CryptoSigner": type("CryptoSigner", (), {"SCHEME": "file2"})},
    "securesystemslib.signer._sigstore_signer": {
        "SigstoreKey": type("SigstoreKey", (), {}),
        "SigstoreSigner": type("SigstoreSigner", (), {"SCHEME": "sigstore"}),
    },
    "securesystemslib.signer._tkey_signer": {"TKeySigner": type("TKeySigner", (), {"SCHEME": "tkey"})},
    "pydantic.plugin._loader": {"get_plugins": tuple},
}
_WRITER = "_create_fn"
_written_at_once: Callable[..., Any] | None = getattr(dataclasses, _WRITER, None)
_waiting: list[Callable[[], object]] = []
_loading = threading.Lock()


def start_lean() -> None:
    """Put off and leave out, from now on: what is loaded already stays as it is."""
    write_late()
    # For a program that this one starts, and that starts otherwise.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.meta_path.insert(0, _LeftOut())


# So many objects that stay are a walk of tens of milliseconds.
_MANY_OBJECTS = 100_000


@contextmanager
def without_collections() -> Iterator[None]:
    """The garbage collector waits: for work that makes a hundred thousand objects which stay, and no garbage.

    It would walk over all of them again and again as they become more. It waits in all threads of the program, so this
    is for work that ends by itself within seconds. Where that many were made, it leaves them alone from then on: else
    whoever makes the next object waits while it walks over all of them, and twice more later.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if gc.get_count()[0] > _MANY_OBJECTS:
                gc.freeze()  # what is freed by its count still is
            gc.enable()


class _LeftOut:
    """Finds the modules of :data:`_LEFT_OUT`, each with nothing but its names."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in _LEFT_OUT else None  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """A module of the usual kind."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_LEFT_OUT[module.__name__])


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
        read_authorities = ssl.SSLContext.set_default_verify_paths

        def trusting_nobody(*given: Any, **named: Any) -> ssl.SSLContext:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if threading.get_ident() == here else make(*given, **named)

        def read_elsewhere(context: ssl.SSLContext) -> None:
            if threading.get_ident() != here:
                read_authorities(context)

        ssl.create_default_context = trusting_nobody
        setattr(ssl.SSLContext, "set_default_verify_paths", read_elsewhere)  # noqa: B010 - it has no type of its own
        try:
            import_module("aiohttp")
        finally:
            ssl.create_default_context = make
            setattr(ssl.SSLContext, "set_default_verify_paths", read_authorities)  # noqa: B010


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
