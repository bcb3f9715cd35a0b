"""The plain-language text in every evidence bag: what it is, and how to verify it with tools of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from uuid import UUID

from keys.local.translation import current, languages, translator

# The line about the program. The text around it stays as it is in every language, so that older bags are known by it.
_PROGRAM = re.compile(r"^verify_bag\.py +\S.*$", re.MULTILINE)


def readme(message_id: UUID, *, disclosed: bool, files: bool = False, _: Callable[[str], str] | None = None) -> str:
    """The text for one bag, in the language of the environment or of the translation that is given.

    ``files``: the message has evidence files.

    It is a file that others judge byte by byte: it holds none of the marks that a terminal gets.
    """
    _ = _ or current().gettext
    return _PROGRAM.sub(lambda _found: _program(_), _counted(message_id, disclosed, files, _), count=1)


def readmes(message_id: UUID, *, disclosed: bool, files: bool = False) -> Iterator[str]:
    """The text in every language that there is: what a bag may say. The likely ones come first."""
    yield readme(message_id, disclosed=disclosed, files=files)
    told = [_in(name) for name in ("en", *languages())]
    for _ in told:
        yield readme(message_id, disclosed=disclosed, files=files, _=_)
    for _ in told:  # of bags made before, and by a version that had not translated the line about the program
        counted = _counted(message_id, disclosed, files, _)
        yield counted
        yield _PROGRAM.sub(_program(str), counted, count=1)


def _counted(message_id: UUID, disclosed: bool, files: bool, _: Callable[[str], str]) -> str:
    """The text as it was once: with a number of lines, which the program outgrew."""
    content = [_open(_) if disclosed else _closed(_), *([_files(_)] if files else [])]
    return _about(_).format(message=message_id, content="\n".join(content))


def _program(_: Callable[[str], str]) -> str:
    return _("verify_bag.py          a program in one file that checks all of it")


@cache
def _in(language: str) -> Callable[[str], str]:
    return translator(language).gettext


def _open(_: Callable[[str], str]) -> str:
    return _(
        """\
data/content.json      the content, as the sender wrote it
data/salt.bin          32 random bytes: SHA-256("comity/v1/commitment" 00 salt content) is what the sender signed
                       THIS FOLDER HOLDS THE CONTENT IN THE CLEAR: handle it as its labels say"""
    )


def _closed(_: Callable[[str], str]) -> str:
    return _(
        """\
                       the content is not here; a disclosure by one of the offices can be checked with the envelope"""
    )


def _files(_: Callable[[str], str]) -> str:
    return _(
        """\
data/files/            the list of the evidence files that belong to the message, and sealed files, if they are in here;
                       give others to the program with --files, sealed or opened: it checks each against the message"""
    )


def _about(_: Callable[[str], str]) -> str:
    return _(
        """\
EVIDENCE OF MESSAGE {message}

This folder proves that an office of one state sent a message to an office of another, that it was exactly this
message, and what the states' nodes recorded about it. It can be verified offline, by anybody, with the tools below.

data/envelope.cose     the message as it was sent: signed by the sender, encrypted for the recipients
{content}
data/receipts/         what nodes logged: N.entry is the log entry, N.tlog-proof proves that it is in the log
data/directory/        the signed directory: which keys belong to which office and node, and since when
data/logs/             the public keys of the nodes' logs, in the form that tools of others read
timestamps/            tokens of timestamp authorities (RFC 3161), if there are any; they can be added later
statement.cose         what its maker, one of the two offices, signed: which files and receipts are in this folder
verify_bag.py          a program of some 900 lines that checks all of it

BEFORE YOU BEGIN
Ask the federation, or an office that you trust, for the fingerprint of its first root: 64 hexadecimal digits. It is the
only thing that you have to take from somebody. Do not take it from whoever gave you this folder.

1. THAT NOTHING WAS ALTERED SINCE THE FOLDER WAS MADE
    sha256sum -c manifest-sha256.txt
    sha256sum -c tagmanifest-sha256.txt
This alone proves nothing about the message: whoever alters a file can write the list anew.

2. ALL OF IT AT ONCE
With Python 3.11 or later and its package "cryptography" 48 or later, on the ZIP file that this folder came in:
    python3 -I verify_bag.py evidence.zip --root-sha256 FINGERPRINT
Take the program from somebody you trust: the copy in this folder is as good as who gave you the folder. Or with Comity:
    comity evidence verify evidence.zip --root-sha256 FINGERPRINT
The first line says who signed, for whom, when, and who else says when. Every other line must say that it holds. A line
that says "not checked" is no failure and no success: it says what is missing. Nobody can see receipts that the maker
left out before it signed; the maker's line says how far it had seen each log.

3. THE TIME, WITH OPENSSL
A timestamp token says that manifest-sha256.txt, and so every file in data/, existed at a time. ROOTS.pem holds the
authority's root certificate; ask the authority for it.
    openssl ts -verify -data manifest-sha256.txt -token_in -in timestamps/1.tst -CAfile ROOTS.pem
    openssl ts -reply -token_in -in timestamps/1.tst -token_out -text
If the authority's certificate has ended since, add -attime and the token's time in seconds since 1970.

4. THE LOGS, WITH GO
A .tlog-proof file is a C2SP tlog-proof: the index, the hashes, an empty line, and a checkpoint. Go's packages
golang.org/x/mod/sumdb/note and golang.org/x/mod/sumdb/tlog read it:
    note.Open(checkpoint, note.VerifierList(verifier))   verifier: note.NewVerifier, first line of data/logs/*.vkeys
    tlog.CheckRecord(hashes, size, root, index, tlog.RecordHash(entry))
The second line of each .vkeys file is the log's post-quantum key (ML-DSA-44), which Go's package ignores.

5. THE SENDER'S SIGNATURE, WITH OPENSSL
The key stands on the sender's card in data/directory/targets/, as base64 of 32 bytes. The signature covers a few
bytes of the envelope in another order; docs/evidence-bag.md of Comity says how to cut them out.
    openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in to-be-signed.bin -sigfile signature.bin
"""
    )
