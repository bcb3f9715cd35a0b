"""TLS 1.3 between members: the server's certificate is pinned by the directory, no certificate authority is asked.

Certificates are self-signed, ECDSA P-256, not certificate authorities. A client trusts exactly the certificates on the
node's card; host names are not compared, the pin is the identity.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import MalformedError

if TYPE_CHECKING:
    from cryptography import x509


DEFAULT_LIFETIME = timedelta(days=3 * 365)
# Clocks of members may differ; a certificate counts from a little before it was made.
_BACKDATE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A server's private key (PKCS#8 PEM) and certificate (DER)."""

    key_pem: bytes = field(repr=False)
    certificate: bytes


def make_certificate(
    name: str, hosts: Iterable[str], now: datetime, lifetime: timedelta = DEFAULT_LIFETIME
) -> TlsIdentity:
    """A new ECDSA P-256 key with a self-signed server certificate for ``hosts`` (DNS names or IP addresses)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
        # Not an authority: nothing that this key signs is another certificate of this node.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    names = [_general_name(host) for host in hosts]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return TlsIdentity(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate.public_bytes(serialization.Encoding.DER),
    )


def check_certificate(certificate: bytes) -> datetime:
    """The instant (UTC) at which a DER certificate ends; raises :class:`MalformedError` when it is not one."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc
    except ValueError as problem:
        raise MalformedError("the TLS certificate is not valid DER") from problem


def certificate_hosts(certificate: bytes) -> list[str]:
    """The DNS names and IP addresses that a DER certificate names; raises :class:`MalformedError`."""
    from cryptography import x509

    check_certificate(certificate)
    try:
        names = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names.value]


def server_context(certificate: bytes, key_pem: bytes) -> ssl.SSLContext:
    """The context of a node's public listener: TLS 1.3 only."""
    import tempfile

    from cryptography.hazmat.primitives import serialization

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION
    # The ssl module reads keys from files only: what touches the disk is encrypted under a password that dies here.
    password = base64.b64encode(os.urandom(32))
    key = serialization.load_pem_private_key(key_pem, password=None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    with tempfile.TemporaryDirectory(prefix="comity-tls-") as folder:
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(to_pem(certificate) + encrypted)
        context.load_cert_chain(path, password=password)
    return context


def public_context() -> ssl.SSLContext:
    """The context for services outside the federation, such as a webhook: the machine's certificate authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def any_server_context() -> ssl.SSLContext:
    """The context for fetching what proves itself, such as the directory, from a server whose certificate is unknown.

    Nothing else may be asked or told over it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_context(certificates: Iterable[bytes]) -> ssl.SSLContext:
    """The context for connecting to a server that shows one of exactly these DER certificates, over TLS 1.3.

    Raises :class:`MalformedError` when there is none or one does not parse.
    """
    pinned = list(certificates)
    if not pinned:
        raise MalformedError("there is no certificate to pin")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    for certificate in pinned:
        _require_one(certificate)
        context.load_verify_locations(cadata=certificate)
    return context


def _require_one(certificate: bytes) -> None:
    """Return if the bytes are one DER certificate: one that hides behind its end would be trusted as well."""
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        alone.load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError) as problem:
        raise MalformedError("the TLS certificate is not valid DER") from problem
    if alone.cert_store_stats()["x509"] != 1:
        raise MalformedError("the TLS certificate has something behind its end")


def to_pem(certificate: bytes) -> bytes:
    """A DER certificate in PEM."""
    return ssl.DER_cert_to_PEM_cert(certificate).encode("ascii")


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
