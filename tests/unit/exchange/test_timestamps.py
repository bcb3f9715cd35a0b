"""RFC 3161 tokens of a real authority (OpenSSL's, behind HTTP on this machine), and answers that are none."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.evidence.timestamps import load_roots, request_timestamp, verify_token
from protocol.errors import (
    ComityError,
    MalformedError,
    TimestampInvalidError,
    TimestampUnavailableError,
    UsageError,
)
from tests.conftest import require_program
from tests.worlds.altered import one_bit_off
from tests.worlds.evidence import Made, bag_of, comity, exchanged, files_of, standalone, zipped
from tests.worlds.patience import WITHIN_S

STAMPED = b"what existed then"
Reply = Callable[[bytes], bytes]


@dataclass
class Authority:
    """A folder with an authority's keys and configuration; ``reply`` is OpenSSL's answer to a query."""

    folder: Path
    root: x509.Certificate

    def reply(self, query: bytes, *args: str) -> bytes:
        (self.folder / "query.tsq").write_bytes(query)
        command = [
            "openssl",
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "query.tsq",
            "-out",
            "reply.tsr",
            *args,
        ]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=WITHIN_S)
        return (self.folder / "reply.tsr").read_bytes()

    def query(self, data: bytes, *args: str) -> bytes:
        (self.folder / "data").write_bytes(data)
        command = ["openssl", "ts", "-query", "-data", "data", "-cert", "-sha256", *args]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=WITHIN_S).stdout

    @property
    def roots(self) -> Path:
        return self.folder / "root.pem"


def make_authority(
    folder: Path, *, until: timedelta = timedelta(days=30), usage: bool = True, more: bool = False
) -> Authority:
    folder.mkdir()
    now = datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test root")])

    def certificate(name: x509.Name, public: ec.EllipticCurvePublicKey, end: datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(root_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(days=60)).not_valid_after(end)

    root = (
        certificate(root_name, root_key.public_key(), now + timedelta(days=60))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    own = certificate(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")]), key.public_key(), now + until
    )
    if usage:
        own = own.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    pem = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root.public_bytes(pem))
    (folder / "tsa.pem").write_bytes(own.sign(root_key, hashes.SHA256()).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tsa.key").write_bytes(private)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = own\n[own]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\n"
        "signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\ness_cert_id_alg = sha256\n"
    )
    return Authority(folder, root)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require_program("openssl")
    return make_authority(tmp_path_factory.mktemp("tsa") / "own")


@asynccontextmanager
async def served(reply: Reply, status: int = 200) -> AsyncIterator[str]:
    """The URL of a server that answers with what ``reply`` makes of the query."""

    async def answer(request: web.Request) -> web.Response:
        assert request.content_type == "application/timestamp-query"
        return web.Response(body=reply(await request.read()), status=status, content_type="application/timestamp-reply")

    site_app = web.Application()
    site_app.router.add_post("/", answer)
    runner = web.AppRunner(site_app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


@pytest.mark.outside
async def test_a_token_of_a_real_authority_says_when_something_existed(authority: Authority) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    async with served(authority.reply) as url:
        token = await request_timestamp(url, STAMPED, [authority.root])

    assert before <= verify_token(token, STAMPED, load_roots(authority.roots.read_bytes())) <= datetime.now(UTC)
    with pytest.raises(TimestampInvalidError, match="something else"):
        verify_token(token, STAMPED + b".", [authority.root])


async def refusal(reply: Reply, roots: list[x509.Certificate], status: int = 200) -> ComityError:
    async with served(reply, status) as url:
        with pytest.raises(ComityError) as refused:
            await request_timestamp(url, STAMPED, roots)
    return refused.value


@pytest.mark.outside
async def test_an_answer_to_another_question_is_refused(authority: Authority) -> None:
    old = authority.reply(authority.query(STAMPED))
    about_other = await refusal(lambda _: authority.reply(authority.query(b"other")), [authority.root])
    replayed = await refusal(lambda _: old, [authority.root])
    without_nonce = await refusal(lambda _: authority.reply(authority.query(STAMPED, "-no_nonce")), [authority.root])

    assert "something else" in about_other.detail
    assert "nonce" in replayed.detail
    assert "nonce" in without_nonce.detail


@pytest.mark.outside
async def test_a_token_whose_certificate_does_not_lead_to_a_root_or_had_ended_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = make_authority(tmp_path / "stranger")
    ended = make_authority(tmp_path / "ended", until=timedelta(days=-1))

    for reply, root in ((stranger.reply, authority.root), (ended.reply, ended.root)):
        problem = await refusal(reply, [root])
        assert isinstance(problem, TimestampInvalidError)
        assert "leads to a given root and was valid then" in problem.detail


@pytest.mark.outside
async def test_what_is_no_granted_response_is_refused(authority: Authority) -> None:
    rejected = authority.reply(authority.query(STAMPED, "-tspolicy", "1.2.3.4.9"))
    cases = {
        b"": "not a timestamp response",
        b"<html>busy</html>": "not a timestamp response",
        authority.reply(authority.query(STAMPED)) + b"\0": "not a timestamp response",
        rejected: "rejected",
        bytes(300 * 1024): "more than",
    }
    for answer, said in cases.items():
        problem = await refusal(lambda _, answer=answer: answer, [authority.root])
        assert isinstance(problem, TimestampInvalidError)
        assert said in problem.detail


@pytest.mark.outside
async def test_an_authority_that_cannot_be_asked_is_told_from_one_whose_token_is_wrong(authority: Authority) -> None:
    busy = await refusal(lambda _: b"", [authority.root], status=503)
    with pytest.raises(TimestampUnavailableError, match="cannot be reached"):
        await request_timestamp("http://127.0.0.1:1/", STAMPED, [authority.root])

    assert isinstance(busy, TimestampUnavailableError)
    assert busy.retryable
    for url in ("ftp://x/", "nonsense", "http://user:secret@x/", "http://[::1"):
        with pytest.raises(UsageError) as refused:
            await request_timestamp(url, STAMPED, [authority.root])
        assert "secret" not in refused.value.detail


@pytest.mark.parametrize(
    "pem", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_roots_are_certificates(pem: bytes) -> None:
    with pytest.raises(MalformedError):
        load_roots(pem)


@pytest.mark.long
@pytest.mark.outside
async def test_an_altered_token_never_says_another_time(authority: Authority) -> None:
    async with served(authority.reply) as url:
        token = await request_timestamp(url, STAMPED, [authority.root])
    said = verify_token(token, STAMPED, [authority.root])
    for at in range(0, len(token), 5):
        altered = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        try:
            # A few bytes of a token are covered by no signature; they say nothing.
            assert verify_token(altered, STAMPED, [authority.root]) == said
        except TimestampInvalidError:
            continue


# --- What real authorities send, judged as OpenSSL judges it ---


def chained_authority(folder: Path, **options: bool) -> Authority:
    """An authority under an intermediate, whose certificates OpenSSL sends in the order in which they were given."""
    authority = make_authority(folder, **options)
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Level {level}")]) for level in range(3)]
    made = []
    for level, key in enumerate(keys):
        issuer = max(level - 1, 0)
        builder = x509.CertificateBuilder().subject_name(names[level]).issuer_name(names[issuer])
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        if level < 2:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        else:
            usages = [ExtendedKeyUsageOID.TIME_STAMPING]
            usages += [ExtendedKeyUsageOID.CODE_SIGNING] if options.get("more") else []
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=True)
        made.append(builder.sign(keys[issuer], hashes.SHA256()))
    pem = serialization.Encoding.PEM
    private = keys[2].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "root.pem").write_bytes(made[0].public_bytes(pem))
    (folder / "tsa.pem").write_bytes(made[2].public_bytes(pem))
    (folder / "tsa.key").write_bytes(private)
    (folder / "chain.pem").write_bytes(made[1].public_bytes(pem))
    (folder / "tsa.cnf").write_text(
        (folder / "tsa.cnf").read_text().replace("digests = sha256", "digests = sha256, sha384, sha512")
        + "certs = chain.pem\n"
    )
    return Authority(authority.folder, made[0])


def openssl_verifies(authority: Authority, token: bytes) -> bool:
    """What ``openssl ts`` says of a token over what was stamped."""
    (authority.folder / "token.tst").write_bytes(token)
    (authority.folder / "data").write_bytes(STAMPED)
    command = ["openssl", "ts", "-verify", "-data", "data", "-token_in", "-in", "token.tst", "-CAfile", "root.pem"]
    return (
        subprocess.run(command, cwd=authority.folder, check=False, capture_output=True, timeout=WITHIN_S).returncode
        == 0
    )


def we_verify(authority: Authority, token: bytes) -> bool:
    try:
        verify_token(token, STAMPED, [authority.root])
    except TimestampInvalidError:
        return False
    return True


@pytest.mark.outside
def test_what_openssl_verifies_of_an_authority_under_an_intermediate_is_accepted_in_any_order(tmp_path: Path) -> None:
    require_program("openssl")
    for number in range(4):
        authority = chained_authority(tmp_path / str(number))
        token = _token_in(authority.reply(authority.query(STAMPED)))
        listed = [choice.dump() for choice in cms.ContentInfo.load(token)["content"]["certificates"]]
        assert len(listed) == 2
        assert openssl_verifies(authority, token)
        assert we_verify(authority, token)
        swapped = token.replace(b"".join(listed), b"".join(reversed(listed)))
        assert swapped != token
        assert openssl_verifies(authority, swapped)
        assert we_verify(authority, swapped)
        altered = one_bit_off(token)
        assert not openssl_verifies(authority, altered)
        assert not we_verify(authority, altered)


@pytest.mark.outside
@pytest.mark.parametrize("kind", ["sha256", "sha384", "sha512", "sha1"])
def test_imprints_of_the_sha_2_family_are_accepted(tmp_path: Path, kind: str) -> None:
    authority = chained_authority(tmp_path / "tsa")
    config = (authority.folder / "tsa.cnf").read_text().replace("digests = ", "digests = sha1, ")
    (authority.folder / "tsa.cnf").write_text(config)
    token = _token_in(authority.reply(authority.query(STAMPED, f"-{kind}")))

    assert openssl_verifies(authority, token)
    assert we_verify(authority, token) is (kind != "sha1")  # of which two contents can be made


@pytest.mark.outside
@pytest.mark.parametrize(("cades", "holds"), [(True, True), (False, False)])
def test_a_token_that_does_not_name_its_certificate_is_refused_as_openssl_refuses_it(
    tmp_path: Path, cades: bool, holds: bool
) -> None:
    authority = chained_authority(tmp_path / "tsa")
    said = cms.ContentInfo.load(_token_in(authority.reply(authority.query(STAMPED))))["content"]["encap_content_info"]
    (authority.folder / "said.der").write_bytes(bytes(said["content"].contents))
    command = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-in", "said.der", "-signer", "tsa.pem", "-inkey"]
    command += ["tsa.key", "-certfile", "chain.pem", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-outform", "DER"]
    command += ["-md", "sha256", "-out", "signed.tst", *(["-cades"] if cades else [])]
    subprocess.run(command, cwd=authority.folder, check=True, capture_output=True, timeout=WITHIN_S)
    token = (authority.folder / "signed.tst").read_bytes()

    assert openssl_verifies(authority, token) is holds
    assert we_verify(authority, token) is holds


@pytest.mark.outside
def test_a_certificate_for_more_than_timestamping_is_refused_as_openssl_refuses_it(tmp_path: Path) -> None:
    authority = chained_authority(tmp_path / "tsa", more=True)
    said = cms.ContentInfo.load(_token_in(chained_authority(tmp_path / "other").reply(authority.query(STAMPED))))[
        "content"
    ]["encap_content_info"]
    (authority.folder / "said.der").write_bytes(bytes(said["content"].contents))
    command = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-in", "said.der", "-signer", "tsa.pem", "-inkey"]
    command += ["tsa.key", "-certfile", "chain.pem", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-outform", "DER"]
    command += ["-md", "sha256", "-out", "signed.tst", "-cades"]
    subprocess.run(command, cwd=authority.folder, check=True, capture_output=True, timeout=WITHIN_S)
    token = (authority.folder / "signed.tst").read_bytes()

    assert not openssl_verifies(authority, token)
    assert not we_verify(authority, token)


def _token_in(response: bytes) -> bytes:
    return bytes(tsp.TimeStampResp.load(response)["time_stamp_token"].dump())


# --- In a bag ---


@pytest.mark.outside
def test_a_bag_is_stamped_later_and_what_was_in_it_stays_as_it_was(
    made: Made, authority: Authority, tmp_path: Path
) -> None:
    file, more = tmp_path / "evidence.zip", tmp_path / "more.zip"
    file.write_bytes(bag_of(made.disclosed))
    before = files_of(file.read_bytes())

    async def stamp_twice() -> list[int]:
        async with served(authority.reply) as url:
            words = ["--tsa", url, "--tsa-roots", str(authority.roots), "--json"]
            rounds = (
                ["evidence", "stamp", str(file), *words],
                ["evidence", "stamp", str(file), "--out", str(more), *words],
            )
            return [(await asyncio.to_thread(CliRunner().invoke, app, words)).exit_code for words in rounds]

    assert asyncio.run(stamp_twice()) == [0, 0]
    report = comity(made, more.read_bytes(), tsa_roots=[authority.root])
    after = files_of(more.read_bytes())
    assert (report.ok, report.unchecked, len(report.stamped_at)) == (True, (), 2)
    assert {name.partition("/")[2] for name in after.keys() - before.keys()} == {"timestamps/1.tst", "timestamps/2.tst"}
    assert [name for name in before if before[name] != after[name]] == [
        f"comity-evidence-{made.disclosed.message_id}/tagmanifest-sha256.txt"
    ]
    # An altered bag is not stamped.
    broken = {name: content + b"x" if name.endswith("0001.entry") else content for name, content in before.items()}
    file.write_bytes(zipped(broken))
    words = ["evidence", "stamp", str(file), "--tsa", "http://127.0.0.1:1/", "--tsa-roots", str(authority.roots)]
    assert CliRunner().invoke(app, words).exit_code == 1
    assert files_of(file.read_bytes()) == broken


async def stamped(authority: Authority, data: bytes) -> bytes:
    async with served(authority.reply) as url:
        return await request_timestamp(url, data, [authority.root])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with exchanged(tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.mark.outside
def test_a_stamped_bag_verifies_and_openssl_confirms_it_as_the_verifier_says(
    made: Made, authority: Authority, tmp_path: Path
) -> None:
    token = asyncio.run(stamped(authority, made.disclosed.manifest()))
    bag = bag_of(made.disclosed, (token,))

    asked = comity(made, bag, tsa_roots=[authority.root])
    assert asked.ok
    assert len(asked.stamped_at) == 1
    assert comity(made, bag).stamped_at == ()
    code, said = standalone(made, bag, tmp_path)
    (check,) = (check for check in said["checks"] if check[0] == "timestamps/1.tst")
    assert (code, check[1], said["unchecked"]) == (3, None, ["timestamps/1.tst"])
    for name, content in files_of(bag).items():
        file = tmp_path / name.partition("/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    found = re.search(r"openssl .*", check[2])
    assert found
    command = found[0].replace("ROOTS.pem", str(authority.roots)).split()
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, timeout=WITHIN_S).returncode == 0


@pytest.mark.outside
def test_a_token_of_another_bag_is_refused_by_both(made: Made, authority: Authority, tmp_path: Path) -> None:
    token = asyncio.run(stamped(authority, made.closed.manifest()))
    bag = bag_of(made.disclosed, (token,))

    assert not comity(made, bag, tsa_roots=[authority.root]).ok
    assert standalone(made, bag, tmp_path)[0] == 1
