"""The envelope: what a node, a recipient and an auditor may conclude, and everything they must refuse."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.envelope import (
    ENVELOPE_CONTEXT,
    MAX_CONTENT_BYTES,
    MAX_ENVELOPE_BYTES,
    SEALED_CONTEXT,
    SEALED_TYPE,
    check_disclosure,
    commitment_of,
    open_envelope,
    parse_envelope,
    seal,
    verify_envelope,
)
from protocol.errors import (
    ComityError,
    CommitmentMismatchError,
    ExpiredError,
    MalformedError,
    NonCanonicalError,
    NotARecipientError,
    NotYetValidError,
    OpenFailedError,
    SignatureInvalidError,
    TooLargeError,
    UnsupportedVersionError,
)
from protocol.routing import Priority, Routing, decode_routing, encode_routing

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TOKYO, PARIS, ROME = (Address.parse(text) for text in ("24-7@jp", "24-7@fr", "24-7@it"))
TOKYO_SIGNER = Ed25519Signer(bytes([1]) * 32)
TOKYO_KEY = Ed25519Verifier(TOKYO_SIGNER.public_key)
MALLORY = Ed25519Signer(bytes([9]) * 32)
PARIS_OPENER, ROME_OPENER = HybridOpener(bytes([2]) * 32), HybridOpener(bytes([3]) * 32)
PARIS_OPENERS = {PARIS_OPENER.kid: PARIS_OPENER}
KEYS = {
    PARIS: SealingKey(PARIS_OPENER.public_key),
    ROME: SealingKey(ROME_OPENER.public_key),
}
CONTENT = b'{"type":"preservation.request"}'


def routing_to(*recipients: Address) -> Routing:
    return Routing(
        id=new_message_id(NOW, bytes(10)),
        sender=TOKYO,
        recipients=tuple(sorted(recipients)),
        created=NOW,
        expires=NOW + timedelta(days=7),
        priority=Priority.URGENT,
        ack_by=NOW + timedelta(hours=8),
        commitment=bytes(32),
    )


def sealed_to(*recipients: Address, content: bytes = CONTENT) -> bytes:
    routing = routing_to(*recipients)
    return seal(content, routing, TOKYO_SIGNER, {a: KEYS[a] for a in recipients}, os.urandom)


def signed(sealed: cose.Encrypted, signer: Ed25519Signer = TOKYO_SIGNER) -> bytes:
    return cose.sign1(cose.encode_encrypted(sealed), SEALED_TYPE, ENVELOPE_CONTEXT, signer)


def test_recipient_opens_what_the_sender_sealed() -> None:
    envelope = parse_envelope(sealed_to(PARIS))
    opened = open_envelope(verify_envelope(envelope, TOKYO_KEY), PARIS, PARIS_OPENERS, NOW)
    assert opened.content == CONTENT
    assert opened.verified.routing.sender == TOKYO
    check_disclosure(envelope, opened.salt, opened.content)


def test_each_of_several_recipients_opens_with_its_own_key() -> None:
    verified = verify_envelope(parse_envelope(sealed_to(PARIS, ROME)), TOKYO_KEY)
    assert open_envelope(verified, PARIS, PARIS_OPENERS, NOW).content == CONTENT
    assert open_envelope(verified, ROME, {ROME_OPENER.kid: ROME_OPENER}, NOW).content == CONTENT


@settings(max_examples=40)
@given(st.binary(max_size=3000))
def test_any_content_survives_sealing_and_opening(content: bytes) -> None:
    verified = verify_envelope(parse_envelope(sealed_to(PARIS, content=content)), TOKYO_KEY)
    assert open_envelope(verified, PARIS, PARIS_OPENERS, NOW).content == content


def test_nothing_of_the_content_and_no_recipient_key_stands_outside_the_seal() -> None:
    raw = sealed_to(PARIS, content=b"Kim Min-jun, 203.0.113.7")
    assert b"Kim" not in raw
    assert b"203.0.113.7" not in raw


def test_contents_of_similar_length_give_envelopes_of_equal_length() -> None:
    assert len(sealed_to(PARIS, content=bytes(1000))) == len(sealed_to(PARIS, content=bytes(1040)))


def test_two_sealings_of_the_same_content_have_unrelated_commitments() -> None:
    first, second = parse_envelope(sealed_to(PARIS)), parse_envelope(sealed_to(PARIS))
    assert first.routing.commitment != second.routing.commitment


@settings(max_examples=300)
@given(st.data())
def test_any_altered_byte_is_refused(data: st.DataObject) -> None:
    raw = bytearray(ENVELOPE)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ComityError):
        open_envelope(verify_envelope(parse_envelope(bytes(raw)), TOKYO_KEY), PARIS, PARIS_OPENERS, NOW)


ENVELOPE = sealed_to(PARIS)


@given(st.integers(0, len(ENVELOPE) - 1))
def test_any_truncated_envelope_is_refused(length: int) -> None:
    with pytest.raises(MalformedError):
        parse_envelope(ENVELOPE[:length])


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(ComityError):
        parse_envelope(data)


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(MalformedError):
        parse_envelope(ENVELOPE + b"\0")


def test_a_non_canonical_encoding_of_a_valid_envelope_is_refused() -> None:
    payload_head = ENVELOPE.index(b"\x59")
    longer = ENVELOPE[:payload_head] + b"\x5a\0\0" + ENVELOPE[payload_head + 1 :]
    with pytest.raises(NonCanonicalError):
        parse_envelope(longer)


def test_an_oversized_envelope_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooLargeError):
        parse_envelope(bytes(MAX_ENVELOPE_BYTES + 1))


def test_oversized_content_is_refused_before_it_is_sealed() -> None:
    with pytest.raises(TooLargeError):
        sealed_to(PARIS, content=bytes(MAX_CONTENT_BYTES + 1))


def test_the_largest_content_fits_an_envelope_to_the_most_recipients() -> None:
    openers = {Address("24-7", f"n{i}"): HybridOpener(i.to_bytes(32, "big")) for i in range(1, 33)}
    routing = replace(routing_to(PARIS), recipients=tuple(sorted(openers)))
    keys = {address: SealingKey(opener.public_key) for address, opener in openers.items()}
    envelope = parse_envelope(seal(bytes(MAX_CONTENT_BYTES), routing, TOKYO_SIGNER, keys, os.urandom))
    last = max(openers)
    opened = open_envelope(verify_envelope(envelope, TOKYO_KEY), last, {openers[last].kid: openers[last]}, NOW)
    assert len(opened.content) == MAX_CONTENT_BYTES


def test_a_signature_by_another_key_is_refused() -> None:
    with pytest.raises(SignatureInvalidError):
        verify_envelope(parse_envelope(ENVELOPE), Ed25519Verifier(MALLORY.public_key))


def test_a_signature_that_names_the_senders_key_but_is_anothers_is_refused() -> None:
    class Impostor:
        kid = TOKYO_SIGNER.kid
        public_key = TOKYO_SIGNER.public_key

        def sign(self, message: bytes) -> bytes:
            return MALLORY.sign(message)

    sealed = parse_envelope(ENVELOPE).sealed
    raw = cose.sign1(cose.encode_encrypted(sealed), SEALED_TYPE, ENVELOPE_CONTEXT, Impostor())
    with pytest.raises(SignatureInvalidError):
        verify_envelope(parse_envelope(raw), TOKYO_KEY)


def test_recipient_refuses_envelope_resigned_by_another_sender() -> None:
    stolen = parse_envelope(signed(parse_envelope(ENVELOPE).sealed, MALLORY))
    verified = verify_envelope(stolen, Ed25519Verifier(MALLORY.public_key))
    with pytest.raises(OpenFailedError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW)


def test_a_signature_made_for_another_kind_of_object_is_refused() -> None:
    sealed = cose.encode_encrypted(parse_envelope(ENVELOPE).sealed)
    for context in (b"", b"comity/v1/statement", SEALED_CONTEXT):
        raw = cose.sign1(sealed, SEALED_TYPE, context, TOKYO_SIGNER)
        with pytest.raises(SignatureInvalidError):
            verify_envelope(parse_envelope(raw), TOKYO_KEY)


def rerouted(change: Callable[[Routing], Routing]) -> bytes:
    """The envelope with a changed routing header, signed again by its true sender."""
    sealed = parse_envelope(ENVELOPE).sealed
    routing = encode_routing(change(decode_routing(sealed.routing)))
    protected = cose.encrypted_protected(sealed.iv, routing)
    return signed(replace(sealed, routing=routing, protected=protected))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, sender=ROME),
        lambda r: replace(r, priority=Priority.ROUTINE),
        lambda r: replace(r, expires=r.expires + timedelta(days=1)),
        lambda r: replace(r, id=new_message_id(NOW, bytes([7]) * 10)),
        lambda r: replace(r, ack_by=None),
        lambda r: replace(r, commitment=bytes([5]) * 32),
    ],
)
def test_recipient_refuses_a_swapped_routing_header_even_when_signed(change: Callable[[Routing], Routing]) -> None:
    verified = verify_envelope(parse_envelope(rerouted(change)), TOKYO_KEY)
    with pytest.raises(OpenFailedError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW)


def test_a_sealed_key_moved_to_another_message_does_not_open() -> None:
    first, second = parse_envelope(ENVELOPE).sealed, parse_envelope(sealed_to(PARIS)).sealed
    verified = verify_envelope(parse_envelope(signed(replace(second, recipients=first.recipients))), TOKYO_KEY)
    with pytest.raises(OpenFailedError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW)


def test_altered_ciphertext_is_refused_even_when_signed() -> None:
    sealed = parse_envelope(ENVELOPE).sealed
    altered = bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]
    verified = verify_envelope(parse_envelope(signed(replace(sealed, ciphertext=altered))), TOKYO_KEY)
    with pytest.raises(OpenFailedError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW)


def test_a_wrong_commitment_is_refused_even_by_a_sender_who_seals_it_well() -> None:
    def lying(content: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        from protocol.crypto.hpke import ENCAPSULATED_BYTES
        from protocol.encoding.padme import pad
        from protocol.envelope import WRAP_CONTEXT

        header = encode_routing(replace(routing_to(PARIS), commitment=commitment_of(bytes(32), b"something else")))
        protected = cose.encrypted_protected(bytes(12), header)
        ciphertext = AESGCM(bytes(32)).encrypt(
            bytes(12), pad(bytes(32), content), cose.content_aad(protected, SEALED_CONTEXT)
        )
        own = cose.recipient_protected(KEYS[PARIS].kid)
        info = cose.recipient_info(own, cbor.encode([WRAP_CONTEXT, protected, TOKYO_SIGNER.kid]))
        wrapped = KEYS[PARIS].seal(bytes(32), info)
        recipient = cose.Recipient(own, KEYS[PARIS].kid, wrapped[:ENCAPSULATED_BYTES], wrapped[ENCAPSULATED_BYTES:])
        return signed(cose.Encrypted(protected, bytes(12), header, ciphertext, (recipient,)))

    verified = verify_envelope(parse_envelope(lying(CONTENT)), TOKYO_KEY)
    with pytest.raises(CommitmentMismatchError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW)


def test_someone_who_is_not_addressed_cannot_open() -> None:
    verified = verify_envelope(parse_envelope(ENVELOPE), TOKYO_KEY)
    with pytest.raises(NotARecipientError):
        open_envelope(verified, ROME, {ROME_OPENER.kid: ROME_OPENER}, NOW)


def test_an_addressee_without_the_key_it_was_sealed_to_cannot_open() -> None:
    verified = verify_envelope(parse_envelope(ENVELOPE), TOKYO_KEY)
    with pytest.raises(NotARecipientError):
        open_envelope(verified, PARIS, {ROME_OPENER.kid: ROME_OPENER}, NOW)


def test_a_recipient_does_not_open_with_a_key_at_another_recipients_place() -> None:
    sealed = parse_envelope(sealed_to(PARIS, ROME)).sealed
    swapped = replace(sealed, recipients=sealed.recipients[::-1])
    verified = verify_envelope(parse_envelope(signed(swapped)), TOKYO_KEY)
    with pytest.raises(NotARecipientError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW)


def test_an_expired_message_is_refused_and_one_accepted_in_time_can_still_be_read() -> None:
    verified = verify_envelope(parse_envelope(ENVELOPE), TOKYO_KEY)
    with pytest.raises(ExpiredError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW + timedelta(days=7))
    assert open_envelope(verified, PARIS, PARIS_OPENERS, None).content == CONTENT


def test_a_message_from_the_future_is_refused() -> None:
    verified = verify_envelope(parse_envelope(ENVELOPE), TOKYO_KEY)
    with pytest.raises(NotYetValidError):
        open_envelope(verified, PARIS, PARIS_OPENERS, NOW - timedelta(minutes=6))


def test_a_disclosure_of_other_content_is_refused() -> None:
    envelope = parse_envelope(ENVELOPE)
    opened = open_envelope(verify_envelope(envelope, TOKYO_KEY), PARIS, PARIS_OPENERS, NOW)
    for salt, content in ((opened.salt, CONTENT + b" "), (bytes(32), CONTENT), (opened.salt[:31], CONTENT)):
        with pytest.raises(CommitmentMismatchError):
            check_disclosure(envelope, salt, content)


def test_no_other_split_of_salt_and_content_is_a_disclosure() -> None:
    # The commitment hashes both in a row: only the salt's length keeps a content from being shifted into it.
    envelope = parse_envelope(ENVELOPE)
    opened = open_envelope(verify_envelope(envelope, TOKYO_KEY), PARIS, PARIS_OPENERS, NOW)
    both = opened.salt + opened.content
    check_disclosure(envelope, both[:32], both[32:])
    for length in range(len(both) + 1):
        if length != 32:
            with pytest.raises(CommitmentMismatchError):
                check_disclosure(envelope, both[:length], both[length:])


def reheaded(label: int, value: object) -> bytes:
    sealed = parse_envelope(ENVELOPE).sealed
    header = cbor.decode(sealed.protected)
    header[label] = value
    return signed(replace(sealed, protected=cbor.encode(header)))


@pytest.mark.parametrize(
    ("label", "value", "error"),
    [
        (cose.HEADER_ALG, 1, UnsupportedVersionError),
        (cose.HEADER_CRIT, [cose.HEADER_ROUTING, -70099], MalformedError),
        (cose.HEADER_CRIT, [], MalformedError),
        (-70099, b"", MalformedError),
        (cose.HEADER_IV, bytes(11), MalformedError),
        (cose.HEADER_ROUTING, b"\xa0", UnsupportedVersionError),
    ],
)
def test_unknown_algorithms_and_headers_are_refused(label: int, value: object, error: type[ComityError]) -> None:
    with pytest.raises(error):
        parse_envelope(reheaded(label, value))


def test_recipients_and_sealed_keys_must_match_in_number_and_differ() -> None:
    sealed = parse_envelope(sealed_to(PARIS, ROME)).sealed
    first = sealed.recipients[0]
    for recipients in ((), (first,), (first, first), (*sealed.recipients, first)):
        with pytest.raises(MalformedError):
            parse_envelope(signed(replace(sealed, recipients=recipients)))


def test_private_keys_do_not_show_in_repr() -> None:
    opened = open_envelope(verify_envelope(parse_envelope(ENVELOPE), TOKYO_KEY), PARIS, PARIS_OPENERS, NOW)
    assert "preservation" not in repr(opened)
    assert bytes([1]).hex() * 8 not in repr(TOKYO_SIGNER)
    assert "seed" not in repr(PARIS_OPENER)


def test_an_envelope_is_sealed_with_one_key_for_each_recipient_and_no_others() -> None:
    one, other, *_ = sorted(KEYS)
    for keys in ({}, {other: KEYS[other]}, {one: KEYS[one], other: KEYS[other]}):
        with pytest.raises(MalformedError, match="one sealing key for each recipient"):
            seal(CONTENT, routing_to(one), TOKYO_SIGNER, keys, os.urandom)
