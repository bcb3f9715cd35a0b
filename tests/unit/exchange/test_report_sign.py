"""A signed report verifies with a validator, fails when a byte changes, and is not signed with what does not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import pem, x509
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

from exchange.report.pdf import render_pdf
from exchange.report.sign import read_identity, sign_pdf
from protocol.errors import SigningIdentityError
from tests.unit.exchange.test_report_files import FONTS, english

# Validators judge by the clock of the machine.
NOW = datetime.now(UTC)
PASSPHRASE = b"correct horse"
DAY = timedelta(days=1)


def certificate(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    since: datetime = NOW - DAY,
    until: datetime = NOW + DAY,
) -> certificates.Certificate:
    name = certificates.Name([certificates.NameAttribute(certificates.NameOID.COMMON_NAME, "Board of Audit")])
    usage = certificates.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        certificates.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(usage, critical=True)
    )
    return made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certificate(KEY)


def p12(path: Path, made: certificates.Certificate = CERTIFICATE) -> Path:
    protection = BestAvailableEncryption(PASSPHRASE)
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"audit", KEY, made, None, protection))
    return path


def pem_file(
    path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, made: certificates.Certificate
) -> Path:
    path.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


async def validated(signed: bytes, made: certificates.Certificate = CERTIFICATE) -> PdfSignatureStatus:
    _kind, _headers, der = pem.unarmor(made.public_bytes(Encoding.PEM))
    trust = ValidationContext(trust_roots=[x509.Certificate.load(der)])
    (signature,) = PdfFileReader(BytesIO(signed)).embedded_signatures
    return await async_validate_pdf_signature(signature, trust)


@pytest.fixture
def report() -> bytes:
    return render_pdf(english()[1])


@FONTS
async def test_a_signed_report_verifies_covers_the_whole_file_and_may_not_be_changed(
    tmp_path: Path, report: bytes
) -> None:
    signed = await sign_pdf(report, read_identity(p12(tmp_path / "audit.p12"), PASSPHRASE, NOW))
    status = await validated(signed)
    assert status.bottom_line
    assert status.modification_level is ModificationLevel.NONE
    # What was signed is the report itself, byte for byte: anybody can make it again and compare.
    assert signed.startswith(report)
    (signature,) = PdfFileReader(BytesIO(signed)).embedded_signatures
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    assert "signing_certificate_v2" in {attribute["type"].native for attribute in signature.signer_info["signed_attrs"]}
    assert signature.docmdp_level.value == 1


@FONTS
@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.9])
async def test_a_byte_that_is_changed_breaks_the_signature(tmp_path: Path, report: bytes, place: float) -> None:
    signed = bytearray(await sign_pdf(report, read_identity(p12(tmp_path / "audit.p12"), PASSPHRASE, NOW)))
    signed[int(len(report) * place)] ^= 1
    try:
        status = await validated(bytes(signed))
    except (PdfError, SignatureValidationError, ValueError):
        return  # no longer a PDF that can be read
    assert not status.bottom_line
    assert not status.intact


@FONTS
@pytest.mark.parametrize("key", [KEY, ed25519.Ed25519PrivateKey.generate()], ids=["p256", "ed25519"])
async def test_a_pem_file_with_key_and_certificate_signs_as_well(
    tmp_path: Path, report: bytes, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
) -> None:
    made = certificate(key)
    identity = read_identity(pem_file(tmp_path / "audit.pem", key, made), None, NOW)
    assert (await validated(await sign_pdf(report, identity), made)).bottom_line


def test_what_cannot_sign_is_refused_in_one_line_that_tells_no_secret(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "bad.p12").write_bytes(b"\x30\x03\x02\x01\x00")
    other = certificate(ec.generate_private_key(ec.SECP256R1()))
    tries = [
        (tmp_path / "missing.p12", PASSPHRASE),
        (tmp_path / "empty.pem", None),
        (tmp_path / "bad.p12", PASSPHRASE),
        (p12(tmp_path / "audit.p12"), b"wrong horse"),
        (p12(tmp_path / "audit.p12"), None),
        (pem_file(tmp_path / "other.pem", KEY, other), None),
        (pem_file(tmp_path / "plain.pem", KEY, CERTIFICATE), PASSPHRASE),
        (p12(tmp_path / "ended.p12", certificate(KEY, NOW - 3 * DAY, NOW - DAY)), PASSPHRASE),
        (p12(tmp_path / "later.p12", certificate(KEY, NOW + DAY, NOW + 3 * DAY)), PASSPHRASE),
    ]
    for path, passphrase in tries:
        with pytest.raises(SigningIdentityError) as refused:
            read_identity(path, passphrase, NOW)
        assert "horse" not in refused.value.detail
        assert "\n" not in refused.value.detail
