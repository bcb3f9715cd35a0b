"""Run by the Python of the peer's own environment: two AS2 partners, ``tokyo`` who sends and ``paris`` who answers.

as2_exchange.py prepare|serve|send FOLDER PORT [COUNT SIZE]
"""

import datetime
import json
import os
import re
import sys
import time
from pathlib import Path

ROLE, FOLDER, PORT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
PARTNERS = ("tokyo", "paris")
PASS = os.environ.get("BENCH_PASS", "bench")


def know_openssl() -> None:
    """The peer's cryptography knows versions of OpenSSL with single digits alone, and refuses 3.0.10 or later."""
    search = re.search

    def wider(pattern, text, *more):
        return search(
            pattern.replace(r"\d\.\d\.\d", r"\d+\.\d+\.\d+") if type(pattern) is str else pattern, text, *more
        )

    re.search = wider
    try:
        import oscrypto.asymmetric  # noqa: F401 - it looks at the version now
    finally:
        re.search = search


def start(me: str) -> None:
    """Django for one partner, with a database of its own."""
    know_openssl()
    import django
    from django.conf import settings

    settings.configure(
        DEBUG=False,
        SECRET_KEY=os.urandom(16).hex(),
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "pyas2"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / f"{me}.sqlite")}},
        ROOT_URLCONF="pyas2.urls",
        MEDIA_ROOT=str(FOLDER / f"{me}-files"),
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()


def make_key(name: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.BestAvailableEncryption(PASS.encode()))
    (FOLDER / f"{name}.pem").write_bytes(private + certificate.public_bytes(encoding))
    (FOLDER / f"{name}.crt").write_bytes(certificate.public_bytes(encoding))


def prepare() -> None:
    """Keys of both; then, one process each, their databases."""
    import subprocess

    for name in PARTNERS:
        make_key(name)
    for name in PARTNERS:
        subprocess.run([sys.executable, __file__, f"fill-{name}", str(FOLDER), str(PORT)], check=True)


def fill(me: str) -> None:
    start(me)
    from django.core.management import call_command
    from pyas2.models import Organization, Partner, PrivateKey, PublicCertificate

    call_command("migrate", verbosity=0)
    other = PARTNERS[1 - PARTNERS.index(me)]
    key = PrivateKey.objects.create(name=f"{me}.pem", key=(FOLDER / f"{me}.pem").read_bytes(), key_pass=PASS)
    theirs = PublicCertificate.objects.create(name=f"{other}.crt", certificate=(FOLDER / f"{other}.crt").read_bytes())
    Organization.objects.create(
        name=me, as2_name=me, email_address=f"{me}@example.org", encryption_key=key, signature_key=key
    )
    Partner.objects.create(
        name=other,
        as2_name=other,
        target_url=f"http://127.0.0.1:{PORT}/as2receive",
        encryption="aes_256_cbc",
        encryption_cert=theirs,
        signature="sha256",
        signature_cert=theirs,
        mdn=True,
        mdn_mode="SYNC",
        mdn_sign="sha256",
    )


def serve() -> None:
    start("paris")
    from django.core.wsgi import get_wsgi_application
    from waitress import serve as run

    run(get_wsgi_application(), host="127.0.0.1", port=PORT, threads=4, _quiet=True)


def send(count: int, size: int) -> None:
    start("tokyo")
    from pyas2.models import Message, Organization, Partner
    from pyas2lib import Message as As2Message

    organisation, partner = Organization.objects.get(), Partner.objects.get()
    payload = os.urandom(size)
    began = time.perf_counter()
    for number in range(count):
        made = As2Message(sender=organisation.as2org, receiver=partner.as2partner)
        made.build(
            payload,
            filename=f"{number}.bin",
            subject="request",
            content_type="application/octet-stream",
            disposition_notification_to=organisation.email_address,
        )
        kept, _ = Message.objects.create_from_as2message(
            as2message=made, payload=payload, filename=f"{number}.bin", direction="OUT", status="P"
        )
        kept.send_message(made.headers, made.content)
        kept.refresh_from_db()
        if kept.status != "S":
            sys.exit(f"no receipt that verifies: {kept.status} {kept.detailed_status}")
    print(json.dumps({"per_s": count / (time.perf_counter() - began)}))


if ROLE == "prepare":
    prepare()
elif ROLE.startswith("fill-"):
    fill(ROLE.removeprefix("fill-"))
elif ROLE == "serve":
    serve()
else:
    send(int(sys.argv[4]), int(sys.argv[5]))
