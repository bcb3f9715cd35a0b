"""What a command finds that a running desk runs: the opened keystore, and who is signed in where it was typed.

A command runs in a process of its own, made from one in which everything is loaded and the desk's keys are unlocked. It
asks the service for its session over a socket that only the two have.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.errors import SessionError
from protocol.errors import registry as error_classes

if TYPE_CHECKING:
    import socket

    from keys.secrets.keystore import Keystore


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An officer who is signed in where the command was typed, and the key (32 bytes)."""

    officer: str
    seed: bytes = field(repr=False)


@dataclass(slots=True)
class Served:
    """The running desk of ``home``, as one command of it sees it. ``secret`` keys the hash of a passphrase.

    ``derived`` is what the service read of the database before (:attr:`DeskContext.derived`).
    """

    home: Path
    keystore: Keystore
    link: socket.socket
    secret: bytes = field(repr=False)
    derived: dict[str, Any] = field(default_factory=dict, repr=False)

    def signed_in(self, officer: str | None, passphrase: bytes | None = None) -> SignedIn | None:
        """Who is signed in here: ``officer``, or whoever is; with a ``passphrase``, only if it was typed then."""
        proof = None if passphrase is None else self.proof(passphrase)
        said = self.ask("find", officer=officer, proof=proof)
        return SignedIn(said["officer"], base64.b64decode(said["seed"])) if said else None

    def sign_in(self, officer: str, seed: bytes, passphrase: bytes, *, stays: bool) -> None:
        """Keep an officer signed in, where this command was typed; raises :class:`SessionError`.

        Unless it ``stays``, only for commands that give the same passphrase.
        """
        seed_text = base64.b64encode(seed).decode()
        self.ask("begin", officer=officer, seed=seed_text, proof=self.proof(passphrase), stays=stays)

    def proof(self, passphrase: bytes) -> str:
        """By what the service knows the passphrase of a session again."""
        from hashlib import blake2b

        return blake2b(passphrase, key=self.secret, digest_size=32).hexdigest()

    def ask(self, act: str, **values: Any) -> Any:
        """What the service says to one question; raises what it refuses with, :class:`SessionError` when it is gone."""
        try:
            self.link.sendall(json.dumps({"act": act, **values}).encode() + b"\n")
            said = bytearray()
            while not said.endswith(b"\n"):
                more = self.link.recv(4_096)
                if not more:
                    raise SessionError("the desk's service has ended")
                said += more
        except OSError as problem:
            raise SessionError("the desk's service has ended") from problem
        answer = json.loads(said)
        if "code" in answer:
            raise error_classes()[answer["code"]](answer["detail"])
        return answer["said"]


_served: list[Served] = []


def serve_here(served: Served) -> None:
    """This process is a command of a running desk from now on."""
    _served[:] = [served]


def served_desk(home: Path) -> Served | None:
    """The running desk of ``home`` whose command this process is; None for any other home, and elsewhere."""
    return _served[0] if _served and _served[0].home == home.expanduser().resolve() else None


def a_served_desk() -> Served | None:
    """The running desk whose command this process is, if it is one."""
    return _served[0] if _served else None
