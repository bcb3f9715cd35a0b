"""A desk's sealing keys follow a schedule: senders always find one, and what is over is gone for good."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.desk.keys import (
    MAX_SEALING_KEYS,
    OVERLAP,
    KeyState,
    begin_signing,
    key_rows,
    plan,
    retire,
    switch_signing,
)
from keys.directory.card_rules import check_history
from keys.directory.cards import ContactPointCard
from keys.members.federation import contact_point_card, with_revoked_key
from keys.members.identity import generate_desk_keys
from keys.secrets.keystore import FAST, Keystore, Purpose
from protocol.envelope import open_envelope, parse_envelope, verify_envelope
from protocol.errors import NotARecipientError, RotationError
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request

QUARTER = timedelta(days=90)
GRACE = timedelta(days=30)


def make(path: Path) -> tuple[Keystore, ContactPointCard]:
    keys = generate_desk_keys()
    keystore = Keystore.create(path / "keystore.cbor", PASSPHRASE, FAST)
    keys.store(keystore, NOW)
    keystore.save()
    return keystore, contact_point_card(FR, keys, NOW, office="Office", agency="Agency")


@pytest.fixture
def made(tmp_path: Path) -> tuple[Keystore, ContactPointCard]:
    return make(tmp_path)


def reopened(keystore: Keystore) -> Keystore:
    return Keystore.open(keystore.path, PASSPHRASE)


def test_planned_keys_follow_one_another_without_a_gap(made: tuple[Keystore, ContactPointCard]) -> None:
    keystore, card = made
    new = plan(keystore, card, 3, QUARTER, NOW + timedelta(days=1))
    check_history(card, new)
    starts = [entry.valid_from for entry in new.sealing_keys]
    assert starts == [NOW + n * QUARTER for n in range(4)]
    ends = [entry.valid_until for entry in new.sealing_keys]
    assert ends == [start + QUARTER + OVERLAP for start in starts]
    assert {entry.kid for entry in new.sealing_keys} == set(reopened(keystore).openers())


@pytest.mark.long
@given(months=st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_at_every_instant_of_a_plan_the_newest_key_is_held(
    tmp_path_factory: pytest.TempPathFactory, months: list[int]
) -> None:
    keystore, card = make(tmp_path_factory.mktemp("desk"))
    now = NOW
    for step in months:
        now += timedelta(days=30 * step)
        card = plan(keystore, card, 2, QUARTER, now) if step % 2 else card
        with suppress(RotationError):  # nothing was planned in time: the last key stays
            retire(keystore, card, GRACE, now)
        for day in range(0, 120, 10):
            at = now + timedelta(days=day)
            valid = [entry for entry in card.sealing_keys if entry.is_valid(at)]
            if valid:
                assert max(valid, key=lambda entry: entry.valid_from).kid in keystore.openers()


def test_a_plan_that_was_not_published_is_taken_up_by_the_next(made: tuple[Keystore, ContactPointCard]) -> None:
    keystore, card = made
    first = plan(keystore, card, 2, QUARTER, NOW)
    second = plan(reopened(keystore), card, 2, QUARTER, NOW + timedelta(hours=1))
    assert {entry.kid for entry in first.sealing_keys} == {entry.kid for entry in second.sealing_keys}


def test_a_key_is_destroyed_after_its_end_and_the_grace_and_not_before(made: tuple[Keystore, ContactPointCard]) -> None:
    keystore, card = made
    old = card.sealing_keys[0].kid
    card = plan(keystore, card, 2, QUARTER, NOW + timedelta(days=1))
    over = NOW + QUARTER + OVERLAP + GRACE
    assert retire(keystore, card, GRACE, over - timedelta(seconds=1)) == []
    assert retire(keystore, card, GRACE, over) == [old]
    assert old not in reopened(keystore).openers()
    rows = {row.kid: (row.state, row.private) for row in key_rows(keystore, card, over)}
    assert rows[old] == (KeyState.ENDED, False)
    # The next plan drops it from the card: nothing needs a sealing key that nobody holds.
    later = plan(keystore, card, 1, QUARTER, over)
    check_history(card, later)
    assert old not in {entry.kid for entry in later.sealing_keys}


def test_a_key_that_others_may_seal_to_is_destroyed_only_when_it_is_revoked(
    made: tuple[Keystore, ContactPointCard],
) -> None:
    keystore, card = made
    old = card.sealing_keys[0].kid
    card = plan(keystore, card, 1, QUARTER, NOW)
    with pytest.raises(RotationError, match="others may seal"):
        retire(keystore, card, GRACE, NOW, old)
    with pytest.raises(RotationError, match="holds no sealing key"):
        retire(keystore, card, GRACE, NOW, bytes(32))
    revoked = with_revoked_key(card, old, NOW)
    assert retire(keystore, revoked, GRACE, NOW, old) == [old]


def test_the_last_key_is_never_destroyed(made: tuple[Keystore, ContactPointCard]) -> None:
    keystore, card = made
    before = keystore.path.read_bytes()
    with pytest.raises(RotationError, match="no sealing key left"):
        retire(keystore, card, GRACE, NOW + timedelta(days=4000))
    assert keystore.path.read_bytes() == before


def test_a_card_has_no_place_for_more_keys_than_it_may_have(made: tuple[Keystore, ContactPointCard]) -> None:
    keystore, card = made
    before = keystore.path.read_bytes()
    with pytest.raises(RotationError, match="at most"):
        plan(keystore, card, MAX_SEALING_KEYS, QUARTER, NOW)
    assert keystore.path.read_bytes() == before


def test_the_signing_key_is_switched_only_when_the_card_lists_the_next(
    made: tuple[Keystore, ContactPointCard],
) -> None:
    keystore, card = made
    old = keystore.signer(Purpose.SIGN).public_key
    with pytest.raises(RotationError, match="begun"):
        switch_signing(keystore, card, NOW)
    new = begin_signing(keystore, card, NOW)
    check_history(card, new)
    assert begin_signing(reopened(keystore), new, NOW) == new
    with pytest.raises(RotationError, match="does not list"):
        switch_signing(keystore, card, NOW)
    done = switch_signing(keystore, new, NOW + timedelta(days=1))
    check_history(new, done)
    assert reopened(keystore).signer(Purpose.SIGN).public_key != old
    ended = [key.public for key in done.signing_keys if not key.is_valid(NOW + timedelta(days=1))]
    assert ended == [old]


async def test_messages_pass_over_a_rotation_and_yesterdays_traffic_stays_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as tokyo:
        async with world.open(FR) as paris:
            early = await tokyo.messages.send(request())
            await paris.messages.sync()
            assert (await paris.messages.show(early.id)).message.id == early.id
        recorded = world.nodes["fr"].box(FR).entries[0].envelope
        card = plan(world.keystore(FR), world.cards[FR], 2, timedelta(days=1), world.clock())
        world.publish(card)
        await tokyo.refresh_directory()
        late = await tokyo.messages.send(request())  # sealed to the present key, fetched after the next one began
        world.clock.advance(days=2)
        new = await tokyo.messages.send(request())
        async with world.open(FR) as paris:
            assert {row.id for row in (await paris.messages.sync()).received} == {late.id, new.id}
        world.clock.advance(days=36, hours=12)
        assert retire(world.keystore(FR), card, GRACE, world.clock()) == [world.cards[FR].sealing_keys[0].kid]
        # Whoever recorded the early message and takes the desk now cannot open it.
        assert recorded is not None
        envelope = parse_envelope(recorded)
        sender = world.directory.signing_key(str(JP), envelope.kid, NOW)
        with pytest.raises(NotARecipientError, match="not sealed to a key"):
            open_envelope(verify_envelope(envelope, sender), FR, world.keystore(FR).openers(), NOW)
