"""TLS: only the pinned certificate is accepted, and only over TLS 1.3."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keys.transport.tls import TlsIdentity, check_certificate, client_context, make_certificate, server_context
from protocol.errors import MalformedError

NOW = datetime.now(UTC)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Shake hands in memory; the protocol version, or the client's or server's ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(to_client, to_server, server_hostname="jp")
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(8):
        for end in (client_end, server_end):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client_end.version()


def _server(identity: TlsIdentity) -> ssl.SSLContext:
    return server_context(identity.certificate, identity.key_pem)


def test_pinned_certificate_is_accepted_over_tls_1_3_whatever_the_host_name() -> None:
    identity = make_certificate("jp", ["node.example", "127.0.0.1", "::1"], NOW)
    assert _handshake(_server(identity), client_context([identity.certificate])) == "TLSv1.3"


def test_any_of_several_pinned_certificates_is_accepted() -> None:
    old, new = make_certificate("jp", [], NOW), make_certificate("jp", [], NOW)
    client = client_context([old.certificate, new.certificate])
    assert _handshake(_server(new), client) == "TLSv1.3"
    assert _handshake(_server(old), client) == "TLSv1.3"


def test_another_certificate_of_the_same_name_is_refused() -> None:
    real, forged = make_certificate("jp", ["127.0.0.1"], NOW), make_certificate("jp", ["127.0.0.1"], NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(_server(forged), client_context([real.certificate]))


def test_pinned_key_cannot_vouch_for_another_certificate() -> None:
    pinned = make_certificate("jp", ["127.0.0.1"], NOW)
    parent = x509.load_der_x509_certificate(pinned.certificate)
    signing_key = serialization.load_pem_private_key(pinned.key_pem, password=None)
    assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    child = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "child")]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(signing_key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server = server_context(child.public_bytes(serialization.Encoding.DER), pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, client_context([pinned.certificate]))


def test_expired_certificate_is_refused() -> None:
    identity = make_certificate("jp", ["127.0.0.1"], NOW - timedelta(days=10), timedelta(days=1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        _handshake(_server(identity), client_context([identity.certificate]))


def test_tls_1_2_is_refused_by_both_sides() -> None:
    identity = make_certificate("jp", ["127.0.0.1"], NOW)
    old_client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old_client.check_hostname = False
    old_client.verify_mode = ssl.CERT_NONE
    old_client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        _handshake(_server(identity), old_client)
    old_server = _server(identity)
    old_server.minimum_version = ssl.TLSVersion.TLSv1_2
    old_server.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        _handshake(old_server, client_context([identity.certificate]))


def test_certificate_is_no_authority_and_serves_only() -> None:
    identity = make_certificate("jp", ["127.0.0.1"], NOW)
    certificate = x509.load_der_x509_certificate(identity.certificate)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert check_certificate(identity.certificate) > NOW + timedelta(days=365)


def test_nothing_to_pin_or_garbage_is_refused() -> None:
    with pytest.raises(MalformedError):
        client_context([])
    with pytest.raises(MalformedError):
        client_context([b"not a certificate"])


def test_a_certificate_behind_the_end_of_a_pinned_one_is_refused() -> None:
    pinned, hidden = make_certificate("jp", [], NOW).certificate, make_certificate("fr", [], NOW).certificate
    assert client_context([pinned, pinned])
    with pytest.raises(MalformedError):
        client_context([pinned + hidden])
    with pytest.raises(MalformedError):
        client_context([pinned, pinned + hidden])


def test_private_key_is_in_no_repr() -> None:
    assert "PRIVATE KEY" not in repr(make_certificate("jp", [], NOW))
