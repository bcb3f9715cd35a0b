"""Signing a report's PDF: PAdES baseline B-B (ETSI EN 319 142-1), by pyHanko.

The signature certifies the document: no later change is allowed. It covers all bytes, so the report underneath stays
the same file that anybody can make again from the same data.
"""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import Certificate, load_pem_x509_certificates
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner

from keys.local.given_files import FileKind, require_file
from protocol.encoding.phrase import phrase
from protocol.errors import SigningIdentityError

FIELD = "Signature"
_PKCS12 = frozenset({".p12", ".pfx"})
_MAX_BYTES = 1 << 20


def read_identity(path: Path, passphrase: bytes | None, now: datetime) -> SimpleSigner:
    """The key and certificate of a PKCS#12 file (``.p12``, ``.pfx``), else of a PEM file with both.

    Raises :class:`WrongFileError`, and :class:`SigningIdentityError` when it cannot be read or opened, when key and
    certificate do not belong together, or when the certificate does not count ``now``.
    """
    require_file(path, FileKind.IDENTITY)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as problem:
        raise SigningIdentityError(
            phrase("cannot read {path}: {why}", path=path, why=problem.strerror or "")
        ) from problem
    if len(content) > _MAX_BYTES:
        raise SigningIdentityError(phrase("{path} has more bytes than {most}", path=path, most=_MAX_BYTES))
    try:
        opened = (_open_pkcs12 if path.suffix.lower() in _PKCS12 else _open_pem)(content, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        # The library's words may quote the file: the cause alone is told.
        raise SigningIdentityError(
            phrase("{path} holds no key with its certificate, or the passphrase is wrong", path=path)
        ) from problem
    _check(path, opened, now)
    key, certificate, others = opened
    plain = pkcs12.serialize_key_and_certificates(None, key, certificate, others, NoEncryption())
    identity: SimpleSigner = SimpleSigner.load_pkcs12_data(plain, other_certs=())
    return identity


async def sign_pdf(pdf: bytes, identity: SimpleSigner) -> bytes:
    """The document with a signature; the time in it is the signer's own word."""
    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha512",  # the one that Ed25519 goes with, and good for the others
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
    )
    signed = BytesIO()
    await signers.async_sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), metadata, identity, output=signed)
    return signed.getvalue()


# --- Inside ---

_Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_Opened = tuple[_Key, Certificate, list[Certificate]]


def _open_pkcs12(content: bytes, passphrase: bytes | None) -> _Opened:
    key, certificate, others = pkcs12.load_key_and_certificates(content, passphrase)
    if not isinstance(key, _Key) or certificate is None:
        raise ValueError("no usable key, or no certificate")
    return key, certificate, list(others)


def _open_pem(content: bytes, passphrase: bytes | None) -> _Opened:
    key = load_pem_private_key(content, passphrase)
    if not isinstance(key, _Key):
        raise ValueError("no usable key")  # noqa: TRY004 - as of any other file that does not do
    certificate, *others = load_pem_x509_certificates(content)
    return key, certificate, others


def _check(path: Path, opened: _Opened, now: datetime) -> None:
    key, certificate, _others = opened
    if key.public_key() != certificate.public_key():
        raise SigningIdentityError(phrase("the first certificate in {path} is not that of the key", path=path))
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise SigningIdentityError(
            phrase("the certificate in {path} does not count now: it begins later or has ended", path=path)
        )
