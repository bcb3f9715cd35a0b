"""E-mail as a peer: gpg and postfix. A mail of 2 KB, encrypted and signed; a signed receipt comes back as a mail.

    python -m benchmarks.peers.mail [--count 40] [--json]

Two keyrings, one postfix of its own on loopback that queues durably, and two mailboxes that take what it delivers. It
is what offices do today that do not trust the telephone. Nobody but the two proves anything, and a mail that is lost is
missed by nobody. Postfix runs only as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

from benchmarks._figures import Figure
from benchmarks.peers._peer import (
    CONTENT_BYTES,
    NotInstalledError,
    debian_folder,
    environment,
    free_port,
    main,
    wait_for,
)
from benchmarks.throughput import CYCLES

AT_ONCE = 8
# Accounts that every Debian has and that own nothing here: postfix refuses to run as root alone.
OWNER, GROUP = "daemon", "games"
TOKYO, PARIS = "24-7@tokyo.example", "24-7@paris.example"


class Keyring:
    """One office's gpg."""

    def __init__(self, folder: Path, who: str) -> None:
        self.who = who
        self._home = folder / who.partition("@")[2]
        self._home.mkdir(mode=0o700)
        self._gpg(b"", "--quick-generate-key", who, "default", "default", "never")

    def public(self) -> bytes:
        """The public key."""
        return self._gpg(b"", "--export", self.who)

    def learn(self, key: bytes) -> None:
        """Take another's public key."""
        self._gpg(key, "--import")

    def seal(self, content: bytes, to: str) -> bytes:
        """Encrypted and signed."""
        return self._gpg(content, "--encrypt", "--sign", "--recipient", to)

    def open(self, sealed: bytes) -> bytes:
        """Decrypted, the signature verified."""
        return self._gpg(sealed, "--decrypt")

    def sign(self, content: bytes) -> bytes:
        """Signed, readable."""
        return self._gpg(content, "--clearsign")

    def verify(self, signed: bytes) -> None:
        """Return if the signature holds."""
        self._gpg(signed, "--decrypt")

    def stop(self) -> None:
        """End the agent that gpg started for this keyring."""
        subprocess.run(
            ["gpgconf", "--homedir", str(self._home), "--kill", "all"], capture_output=True, check=False, timeout=30
        )

    def _gpg(self, given: bytes, *what: str) -> bytes:
        options = ("--homedir", str(self._home), "--batch", "--quiet", "--yes", "--armor", "--trust-model", "always")
        command = ["gpg", *options, "--pinentry-mode", "loopback", "--passphrase", "", *what]
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=120)
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip().splitlines()
            raise NotInstalledError(f"gpg failed: {told[-1] if told else done.returncode}")
        return done.stdout


class Mailbox:
    """Takes what postfix delivers, by SMTP."""

    def __init__(self) -> None:
        self.port = free_port()
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, limit=1 << 20)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Postfix keeps a connection for the next mail: it ends with the measurement.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mailbox\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                await self.arrived.put(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if word == b"QUIT":
                return


class Postfix:
    """A postfix of its own: its files, its queue and one port on loopback."""

    def __init__(self, folder: Path, mailboxes: dict[str, int]) -> None:
        if os.geteuid() != 0:
            raise NotInstalledError("postfix runs only as root")
        root = debian_folder("postfix", ("postfix",))
        self._programs = root / "usr"
        self.port = free_port()
        self._config, queue, data = folder / "config", folder / "queue", folder / "data"
        for one in (self._config, queue, data):
            one.mkdir()
        for one in (folder, self._config, queue):
            one.chmod(0o755)
        shutil.chown(data, OWNER)
        routes = ", ".join(f"{{ {domain} = smtp:[127.0.0.1]:{port} }}" for domain, port in mailboxes.items())
        libraries = self._programs / "lib" / "postfix"
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": queue,
            "data_directory": data,
            "command_directory": self._programs / "sbin",
            "daemon_directory": libraries / "sbin",
            "shlib_directory": libraries,
            "meta_directory": root / "etc" / "postfix",
            "mail_owner": OWNER,
            "setgid_group": GROUP,
            "myhostname": "relay.example",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "transport_maps": f"inline:{{ {routes} }}",
            "alias_maps": "",
            "alias_database": "",
            "maillog_file": "",
            # Its programs clear the environment but for this, and need their own libraries.
            "import_environment": f"MAIL_CONFIG MAIL_LOGTAG LANG=C LD_LIBRARY_PATH={libraries}",
            "export_environment": f"LANG=C LD_LIBRARY_PATH={libraries}",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtp_destination_concurrency_limit": AT_ONCE,
        }
        (self._config / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        services = (root / "usr/share/postfix/master.cf.dist").read_text().splitlines()
        kept = [line for line in services if not line.startswith(("smtp      inet", "#", "postlog"))]
        listener = f"127.0.0.1:{self.port} inet n - n - - smtpd"
        unjailed = [line.replace("   y   ", "   n   ") for line in kept]
        (self._config / "master.cf").write_text("\n".join([listener, *unjailed, ""]))

    def start(self) -> None:
        """Start it; raises :class:`NotInstalledError` where it does not."""
        self._do("start")
        wait_for(self.port, None, 30)

    def stop(self) -> None:
        """Stop it, and wait until its master ended."""
        subprocess.run(self._command("stop"), env=self._variables(), capture_output=True, check=False, timeout=60)

    def _do(self, what: str) -> None:
        done = subprocess.run(
            self._command(what), env=self._variables(), capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            told = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
            raise NotInstalledError(f"postfix does not start: {told[-1]}")

    def _command(self, what: str) -> list[str]:
        return [str(self._programs / "sbin" / "postfix"), "-c", str(self._config), what]

    def _variables(self) -> dict[str, str]:
        return environment(LD_LIBRARY_PATH=str(self._programs / "lib" / "postfix"))


async def _submit(port: int, sender: str, to: str, body: bytes) -> None:
    """Hand a mail to postfix; returns when it has it on disk."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, "request"
    mail.set_content(body.decode("ascii"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    raw = mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
    for line in (b"HELO desk", f"MAIL FROM:<{sender}>".encode(), f"RCPT TO:<{to}>".encode(), b"DATA", raw + b"\r\n."):
        writer.write(line + b"\r\n")
        await writer.drain()
        answer = await reader.readline()
        if not answer.startswith((b"2", b"3")):
            raise NotInstalledError(f"postfix refuses: {answer.decode(errors='replace').strip()}")
    writer.write(b"QUIT\r\n")
    writer.close()


def _part(arrived: bytes, kind: bytes) -> bytes:
    """The armoured part of a mail as it arrived."""
    text = arrived.replace(b"\r\n..", b"\r\n.").replace(b"\r\n", b"\n")
    begin, end = text.index(b"-----BEGIN " + kind), text.rindex(b"-----END PGP")
    return text[begin : text.index(b"\n", end) + 1]


async def exchange(count: int, folder: Path) -> float:
    """Seconds for ``count`` mails, each with its verified receipt."""
    tokyo, paris = Keyring(folder, TOKYO), Keyring(folder, PARIS)
    tokyo.learn(paris.public())
    paris.learn(tokyo.public())
    inbox, receipts = Mailbox(), Mailbox()
    await inbox.open()
    await receipts.open()
    postfix = Postfix(folder, {TOKYO.partition("@")[2]: receipts.port, PARIS.partition("@")[2]: inbox.port})
    await asyncio.to_thread(postfix.start)
    limit = asyncio.Semaphore(AT_ONCE)
    content = os.urandom(CONTENT_BYTES // 2).hex().encode()

    async def send() -> None:
        async with limit:
            sealed = await asyncio.to_thread(tokyo.seal, content, PARIS)
            await _submit(postfix.port, TOKYO, PARIS, sealed)

    async def answer() -> None:
        sealed = _part(await inbox.arrived.get(), b"PGP MESSAGE")
        async with limit:
            opened = await asyncio.to_thread(paris.open, sealed)
            receipt = await asyncio.to_thread(paris.sign, f"received, {len(opened)} bytes".encode())
            await _submit(postfix.port, PARIS, TOKYO, receipt)

    async def check() -> None:
        signed = _part(await receipts.arrived.get(), b"PGP SIGNED MESSAGE")
        async with limit:
            await asyncio.to_thread(tokyo.verify, signed)

    try:
        began = time.perf_counter()
        async with asyncio.timeout(300):
            await asyncio.gather(*(one() for _ in range(count) for one in (send, answer, check)))
        return time.perf_counter() - began
    except TimeoutError:
        raise NotInstalledError("postfix did not deliver within five minutes") from None
    finally:
        await asyncio.to_thread(postfix.stop)
        for mailbox in (inbox, receipts):
            await mailbox.close()
        for keyring in (tokyo, paris):
            keyring.stop()


def measure(count: int) -> Sequence[Figure]:
    """Mails a second, each with its verified receipt."""
    if shutil.which("gpg") is None:
        raise NotInstalledError("there is no gpg: install the package gnupg")
    with tempfile.TemporaryDirectory(prefix="comity-peer-") as folder:
        seconds = asyncio.run(exchange(count, Path(folder)))
        return [Figure(CYCLES, count / seconds, "/s", more_is_better=True)]


if __name__ == "__main__":
    main("gpg + postfix", __doc__ or "", 40, 6, measure)
