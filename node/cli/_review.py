"""How a holder sees a change and signs it: everything is shown, and what is signed is named by its digest.

Every command that signs with a holder's key comes through here. The holder's chain lies beside the keystore
(``<keystore>.chain``) unless ``--state`` says where.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keys.local.given_files import FileKind, require_folder
from keys.local.printing import printable
from keys.local.terminal import ask, write
from node.i18n import _, labelled, ngettext
from protocol.errors import CeremonyError, ComityError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from keys.ceremony.ceremony import Ceremony
    from keys.ceremony.ceremony_file import CeremonyFile
    from keys.ceremony.holder import HolderChain, Judged
    from keys.ceremony.review import Review
    from keys.directory.metadata.tuf_key import DirectorySigner
    from keys.directory.view import Directory

State = Annotated[
    Path | None,
    typer.Option("--state", help=_("Folder of what you verified and signed; else KEYSTORE.chain, beside --keys.")),
]
RootFingerprint = Annotated[
    str | None,
    typer.Option("--root-fingerprint", help=_("Fingerprint of the federation's first root, as you heard it; once.")),
]
Digest = Annotated[
    str | None,
    typer.Option("--digest", help=_("Sign only if this is the digest of the whole change; without it you are asked.")),
]
InsteadOf = Annotated[
    str | None,
    typer.Option("--instead-of", help=_("The draft of this version that you signed, and that was given up.")),
]

_ASKED_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Approval:
    """How the holder says what it signs: where its chain is, and what it compared."""

    keys: Path | None
    state: Path | None
    root_fingerprint: str | None = None
    digest: str | None = None
    instead_of: str | None = None

    @contextmanager
    def chain(self) -> Iterator[HolderChain]:
        """The holder's chain; raises :class:`UsageError` when nobody said where it is."""
        from keys.ceremony.holder import HolderChain

        if self.state is None and self.keys is None:
            raise UsageError("say whose chain the change is judged by: --keys KEYSTORE, or --state FOLDER")
        folder = self.state or Path(f"{self.keys}.chain")
        require_folder(folder, FileKind.CHAIN)
        with HolderChain.open(folder) as chain:
            yield chain


def show_judged(file: CeremonyFile, approval: Approval, as_json: bool, path: Path) -> None:
    """Show a file that came from elsewhere, as this holder's chain bears it out."""
    with approval.chain() as chain:
        judged = _judge(chain, file, approval, as_json)
        show_review(judged.review, file, as_json, path, proposed=judged.proposed)


def show_review(
    review: Review, file: CeremonyFile, as_json: bool, path: Path | None, *, proposed: bool = False
) -> None:
    """Print a review whole: every line, nothing cut, and the digest over all of it."""
    from node.cli._output import show

    values: dict[str, Any] = {
        "file": None if path is None else str(path),
        "federation": review.federation,
        "role": review.role,
        "digest": review.digest(),
        "signed_sha256": review.signed_sha256,
        "before_sha256": review.before_sha256,
        "changes": [asdict(change) for change in review.changes],
        "holders": [{"key": keyid, "holder": holder} for keyid, holder in review.holders],
        "holders_proposed": proposed,
        "signed_by": file.signed_by(),
    }
    show(as_json, values, lambda: "\n".join(_lines(review, file, proposed)))


def sign_reviewed(
    file: CeremonyFile, signers: Sequence[DirectorySigner], approval: Approval, now: datetime, as_json: bool
) -> CeremonyFile:
    """``file`` with the signatures, if it is the change whose digest the holder gave or typed.

    Raises :class:`UsageError` when there is neither a digest nor somebody to ask, and as :class:`HolderChain` does.
    """
    with approval.chain() as chain:
        judged = _judge(chain, file, approval, as_json)
        digest = approval.digest or _ask_digest(judged, as_json)
        for signer in signers:
            signed = chain.sign(judged, signer, digest, now, instead_of=approval.instead_of)
            judged = type(judged)(signed, judged.review, judged.proposed)
        return judged.file


def require_unstaged(ceremony: Ceremony, role: str, signers: Sequence[DirectorySigner]) -> None:
    """Raise :class:`CeremonyError` when ``signers`` would sign, with the command's change, one that came before it."""
    if signers and role in ceremony.staged():
        raise CeremonyError(
            f"something else is staged for {role}, which you were not shown: leave out the key to stage this beside it,"
            " then export both, and sign with comity-node federation sign"
        )


def sign_own(
    ceremony: Ceremony, role: str, signers: Sequence[DirectorySigner], approval: Approval, now: datetime
) -> None:
    """Sign what this very command staged (:func:`require_unstaged` before), over what the holder's chain bears out.

    When it is not signed, it is not left staged either. Raises as :class:`HolderChain` does.
    """
    if not signers:
        return
    try:
        with approval.chain() as chain:
            judged = chain.judge(ceremony.export(role), approval.root_fingerprint)
            for signer in signers:
                ceremony.bring_back(chain.sign(judged, signer, judged.review.digest(), now), now)
    except ComityError:
        ceremony.discard(role)
        raise


def release(
    ceremony: Ceremony,
    signers: Sequence[DirectorySigner],
    approval: Approval,
    now: datetime,
    roles: Sequence[str] | None = None,
) -> Directory:
    """Sign snapshot and timestamp with the registry's keys, nobody watching, and publish.

    They are judged as every change is: by the rules, and by the registry's own chain. That begins with the folder as it
    is when it is first published from; from then on no older folder, and no other federation's, is signed. Raises as
    :meth:`Ceremony.publish` and :class:`HolderChain` do.
    """
    from hashlib import sha256

    from keys.directory.metadata.repository import SNAPSHOT, TIMESTAMP

    ceremony.stage_release(now, roles)
    with approval.chain() as chain:
        for role in (SNAPSHOT, TIMESTAMP):
            file = ceremony.export(role)
            first = file.roots[0] if file.roots else file.proposed or b""
            judged = chain.judge(file, sha256(first).hexdigest())
            # A release that was broken off is made anew. One that was published is known, and not signed twice.
            before = chain.signed.get(role)
            given_up = before.sha256 if before is not None else None
            for signer in signers:
                signed = chain.sign(judged, signer, judged.review.digest(), now, instead_of=given_up)
                ceremony.bring_back(signed, now)
        directory = ceremony.publish(now)
        chain.record_published(ceremony.published())
    return directory


# --- Inside ------------------------------------------------------------------------------------------------------


def _judge(chain: HolderChain, file: CeremonyFile, approval: Approval, as_json: bool) -> Judged:
    from protocol.errors import RootUnknownError

    try:
        return chain.judge(file, approval.root_fingerprint)
    except RootUnknownError as problem:
        if as_json or not _is_asked():
            raise
        write(_(problem.detail), to=sys.stderr)
        return chain.judge(file, ask(_("Type the fingerprint as another member reads it to you"), err=True))


def _ask_digest(judged: Judged, as_json: bool) -> str:
    """Show the change, and have its digest's last digits typed; raises :class:`UsageError`."""
    if as_json or not _is_asked():
        raise UsageError("nothing was signed: give the digest of the change that you reviewed (--digest)")
    show_review(judged.review, judged.file, False, None, proposed=judged.proposed)
    digest = judged.review.digest()
    typed = ask(
        ngettext(
            "To sign all of this, type the last {count} digit of its digest",
            "To sign all of this, type the last {count} digits of its digest",
            _ASKED_DIGITS,
        ).format(count=_ASKED_DIGITS)
    )
    if "".join(typed.split()).lower() != digest[-_ASKED_DIGITS:]:
        raise UsageError("nothing was signed: these are not the last digits of the digest")
    return digest


def _is_asked() -> bool:
    """Whether somebody sits at the terminal."""
    return sys.stdin.isatty()


def _lines(review: Review, file: CeremonyFile, proposed: bool) -> Iterator[str]:
    yield labelled(_("Federation"), printable(review.federation))
    yield labelled(_("Role"), printable(review.role))
    for change in review.changes:
        before, after = (printable(value) or "-" for value in (change.before, change.after))
        yield f"  {printable(change.what)} {printable(change.subject)}: {before} -> {after}"
    yield labelled(_("Compared with"), review.before_sha256 or _("nothing: it is the first version"))
    yield labelled(_("SHA-256 of what is signed"), review.signed_sha256)
    if proposed:
        yield _("This change proposes the signers itself, and enough signatures for that are not known yet:")
    yield _("May sign:")
    for keyid, holder in review.holders:
        yield f"  {printable(holder)} {keyid}"
    yield labelled(_("Signed by"), ", ".join(map(printable, file.signed_by())) or _("nobody yet"))
    yield labelled(_("Digest of all of this, to read to each other"), review.spoken())
