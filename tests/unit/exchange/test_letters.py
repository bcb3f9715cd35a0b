"""A letter says what was sent and what is proved, to one nation alone; what is removed from a copy is gone from it."""

from __future__ import annotations

import asyncio
import copy
import json
import unicodedata
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.letters.composing import Parties, PrintedMessage, Printing, compose_letter, texts_of
from exchange.letters.fingerprint import fingerprint_of
from exchange.letters.letter import Letter
from exchange.letters.pdf import render_letter
from exchange.letters.redaction import Redaction, Redactor
from exchange.views import Direction, InboxRow, ReceiptRow, ShownMessage
from protocol.address import Address
from protocol.errors import RedactionError, UsageError
from protocol.lifecycle.folding import MessageStanding, StandingState
from protocol.messages.parse import complete_message
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request

AT = datetime(2026, 11, 23, 3, tzinfo=UTC)
GH = Address.parse("24-7@gh")
LANGUAGES = ("ar", "en", "es", "fr", "ru", "zh")
DIGEST = bytes(range(32))
PRINTING = Printing(language="en", as_of=AT, letterhead=("National Police Agency of Japan", "24-7@jp"), by="Suzuki Ren")
PARTIES = Parties(sender=JP, recipient=FR, nodes=frozenset({"jp", "fr"}))
# The title of a preservation request in each language: the letter is in it.
HEADINGS = {
    "en": "Preservation request",
    "es": "Solicitud",
    "fr": "Demande de conservation",
    "ru": "Запрос",
    "zh": "保全",
    "ar": "حفظ",
}


def printed(recipients: tuple[Address, ...] = (FR,), **changes: Any) -> PrintedMessage:
    message = complete_message(request(**changes), sender=str(JP))
    row = InboxRow(
        UUID(int=7), UUID(int=7), None, Direction.SENT, message.type, message.urgency, JP, recipients, None, AT, AT, AT,
        None, None, 1,
    )  # fmt: skip
    receipts = tuple(
        ReceiptRow(event, node, node, at, 9, AT, about, None, (), None, verified)
        for at, (event, node, about, verified) in enumerate(
            [
                ("SubmissionAcceptance", "jp", None, True),
                ("ContentHandover", "fr", FR, True),
                ("ContentHandover", "gh", GH, True),
                ("ContentConsignment", "relay", FR, True),
                ("ContentAccessTracking", "fr", FR, False),
            ]
        )
    )
    return PrintedMessage(ShownMessage(row, message, b"", (), receipts, DIGEST), bytes(32))


def letter(*wishes: str, words: tuple[str, ...] = (), **changes: Any) -> Letter:
    printing = replace(
        PRINTING,
        redactions=[*map(Redaction.of_field, wishes), *map(Redaction.of_words, words)],
        disclosed_to="Tokyo District Court" if wishes or words else None,
    )
    return compose_letter([printed(**changes)], PARTIES, printing)


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)


def every_byte_of(pdf: bytes) -> bytes:
    """The file and all of its streams, unpacked: what somebody finds who looks for what was removed."""
    found, start = [pdf], 0
    while (start := pdf.find(b"stream", start)) >= 0:
        start += len(b"stream")
        try:
            found.append(zlib.decompressobj().decompress(pdf[start:].lstrip(b"\r\n")))
        except zlib.error:
            continue
    return b"".join(found)


# --- The letter ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_letter_is_whole_in_each_language(language: str) -> None:
    made = compose_letter([printed()], PARTIES, replace(PRINTING, language=language))
    pdf = render_letter(made)
    assert made.direction == ("rtl" if language == "ar" else "ltr")
    assert HEADINGS[language] in made.title
    shown = text_of(pdf)
    for whole in ("203.0.113.77", "NPA-CY-2026-004417", fingerprint_of(DIGEST)):
        assert whole in shown


def test_equal_letters_are_equal_files() -> None:
    assert render_letter(letter()) == render_letter(letter())


def test_nothing_that_the_program_adds_names_another_nation() -> None:
    """Of two recipients the letter to one names one; receipts of the other, and of nodes between, stay out."""
    made = compose_letter([printed(recipients=(FR, GH))], PARTIES, PRINTING)
    said = " ".join(texts_of(made))
    assert "24-7@fr" in said
    assert not [name for name in ("24-7@gh", "gh", "relay") if name in said.replace("TLP", "").split()]
    assert [row[1] for row in made.messages[0].receipts] == ["jp", "fr"]


@pytest.mark.parametrize(
    ("state", "said"),
    [(StandingState.RETRACTED, "Message taken back"), (StandingState.CORRECTED, "Correction of a message")],
)
@pytest.mark.parametrize("court", [None, "Tokyo District Court"])
def test_a_letter_and_a_copy_say_that_a_message_was_taken_back_or_corrected(
    state: StandingState, said: str, court: str | None
) -> None:
    changed = replace(printed().shown, standing=MessageStanding(state, UUID(int=9)))
    made = compose_letter([PrintedMessage(changed, bytes(32))], PARTIES, replace(PRINTING, disclosed_to=court))
    assert {fact.name: fact.value for fact in made.messages[0].facts}[said] == str(UUID(int=9))


def test_a_reference_is_not_ours_in_a_message_that_is_read_or_printed_by_the_other_side() -> None:
    lines = {line.label: line.text for line in letter(peer_reference="OCLCTIC-7").messages[0].lines}
    assert lines["Reference of the sender"] == "NPA-CY-2026-004417"
    assert lines["Reference of the recipient"] == "OCLCTIC-7"
    assert not {"Our reference", "Your reference"} & lines.keys()


def test_only_what_is_proved_stands_among_the_receipts() -> None:
    assert not [row for row in letter().messages[0].receipts if "ContentAccessTracking" in row[0]]


@pytest.mark.parametrize(
    "hostile",
    ["#emph[x]", "$ x^2 $", "*bold* _it_", "\\", "`raw`", "// gone", '#read("/etc/passwd")', "<label> @ref", "= Title",
     "]#[", "#{1+1}"],
)  # fmt: skip
def test_no_text_of_a_stranger_becomes_markup(hostile: str) -> None:
    made = letter(facts=f"Before {hostile} after.")
    assert f"Before {hostile} after." in text_of(render_letter(made)).replace("\n", " ")


def test_signs_that_the_fonts_lack_are_shown_by_their_numbers_and_the_letter_says_so() -> None:
    shown = text_of(render_letter(letter(facts="A smile \U0001f600 and Arabic \u0639\u0631\u0628.")))
    assert "U+1F600" in shown
    assert "Unicode numbers" in shown


@settings(max_examples=200)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_fingerprints_of_messages_differ_as_their_digests_do(one: bytes, other: bytes) -> None:
    assert (fingerprint_of(one) == fingerprint_of(other)) is (one[:12] == other[:12] and one[12] >> 4 == other[12] >> 4)
    assert len(fingerprint_of(one)) == 24
    assert not set(fingerprint_of(one)) & set("ILOU")


def test_a_letter_says_what_its_reader_must_be_told_of_a_message() -> None:
    note = "its sender took this message back: read 0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f01"
    one = printed()
    told = replace(one, shown=replace(one.shown, notes=(note,)))
    made = compose_letter([told], PARTIES, PRINTING)
    assert note in texts_of(made)
    assert "took this message back" in text_of(render_letter(made)).replace("\n", " ")


# --- What is removed ------------------------------------------------------------------------------------------------

SECRET = "Kim Secret Witness"


def test_what_is_removed_is_in_no_byte_of_the_file() -> None:
    changes = {"facts": f"It was {SECRET} who saw it.", "necessity": f"{SECRET.upper()} is in danger."}
    made = letter("authority.telephone=protected number", words=(f"{SECRET}=protected witness",), **changes)
    pdf = render_letter(made)
    telephone = request()["authority"]["telephone"]
    for gone in (SECRET, SECRET.upper(), telephone):
        assert gone not in text_of(pdf)
        for encoded in (gone.encode(), gone.encode("utf-16-be"), gone.encode("utf-16-be").hex().upper().encode()):
            assert encoded not in every_byte_of(pdf)
    assert "It was [removed: 2] who saw it." in text_of(pdf).replace("\n", " ")


def test_a_log_names_what_kind_was_removed_why_and_by_whom_and_the_original_can_be_asked_for() -> None:
    made = letter("authority.telephone=protected number", words=("Roubaix=place of a witness",))
    assert made.redactions is not None
    assert [row[1:4] for row in made.redactions.rows] == [
        ("Telephone", "protected number", "Suzuki Ren"),
        ("Words in a text", "place of a witness", "Suzuki Ren"),
    ]
    shown = text_of(render_letter(made)).replace("\n", " ")
    assert DIGEST.hex()[:8] in shown
    assert "Commitment to the content" in shown
    assert "The original is the sealed message" in shown


def test_the_log_says_nothing_of_what_was_removed_not_even_its_length() -> None:
    short = letter(words=("A1=x",), facts="It was A1 here.")
    long = letter(words=(f"{'A1' * 40}=x",), facts=f"It was {'A1' * 40} here.")
    assert short.redactions == long.redactions
    assert render_letter(short) == render_letter(long)


def test_a_text_that_still_stands_elsewhere_refuses_the_copy() -> None:
    with pytest.raises(RedactionError, match="still stands"):
        letter("authority.person_in_charge=protected")  # the officer has the same name


@pytest.mark.parametrize(
    "written",
    [
        "JOSÉ NÚÑEZ GARCÍA",
        unicodedata.normalize("NFD", "José Núñez García"),
        "José\u00a0Núñez  García",
        "José\nNúñez García",
        "Ｊｏｓé Núñez García",
        "José Nú\u00adñez García",
    ],
    ids=["capitals", "own-accents", "spaces", "two-lines", "full-width", "soft-hyphen"],
)
def test_words_are_removed_however_they_are_written(written: str) -> None:
    redactor = Redactor([Redaction.of_words("José Núñez García=protected witness")], "Suzuki Ren", "[{number}]")
    assert redactor.text(f"It was {written}, he said.") == "It was [1], he said."
    with pytest.raises(RedactionError, match="still stands"):
        redactor.require_gone([f"It was {written}."])


def test_a_reference_that_is_removed_is_not_in_the_head_either() -> None:
    made = letter("own_reference=file of an informer", own_reference="X-7")
    assert not [text for text in texts_of(made) if "X-7" in text]


def test_a_reason_does_not_say_what_was_removed() -> None:
    with pytest.raises(RedactionError, match="still stands"):
        letter(words=(f"{SECRET}={SECRET} is protected",), facts=f"It was {SECRET}.")


def test_a_removal_that_nothing_fits_refuses_the_copy() -> None:
    with pytest.raises(RedactionError, match="nothing fits"):
        letter("authority.nothing=x")
    with pytest.raises(RedactionError, match="nothing fits"):
        letter(words=("Not there at all=x",))


def test_a_field_takes_all_that_stands_below_it() -> None:
    made = letter("targets.*.identifier=in another investigation")
    said = " ".join(texts_of(made))
    assert "203.0.113.77" not in said
    assert "198.51.100.20" not in said


@pytest.mark.parametrize("given_", ["authority.telephone", "=x", "a b=x", "authority.telephone= "])
def test_a_removal_needs_its_reason(given_: str) -> None:
    with pytest.raises(UsageError):
        Redaction.of_field(given_)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=4, max_size=12), st.text(max_size=20))
def test_words_that_are_removed_stand_nowhere_in_the_letter(secret: str, around: str) -> None:
    before = copy.deepcopy(request())
    if secret.casefold() in json.dumps(before, ensure_ascii=False).casefold() or any(
        not c.isprintable() for c in around
    ):
        return
    try:
        made = letter(words=(f"{secret}=x",), facts=f"A {secret} {around}{secret}", own_reference=f"R {secret}")
    except RedactionError:
        return
    assert not [text for text in texts_of(made) if secret.casefold() in text.casefold()]


# --- The command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A request that was sent and arrived, and a desk at which a command is typed."""
    root = tmp_path_factory.mktemp("letters")
    with pytest.MonkeyPatch.context() as patched:
        world = World(root, patched)
        secret = root / "secret"
        secret.write_bytes(PASSPHRASE)
        secret.chmod(0o600)

        async def send() -> str:
            async with world.open(JP) as jp, world.open(FR) as fr:
                free = request(handling={"tlp": "AMBER"})
                sent = await jp.messages.send(free)
                await jp.messages.send(request(own_reference="closed"))
                await fr.messages.sync()
                await jp.messages.sync()
                return str(sent.id)

        message = asyncio.run(send())

        def type_(desk: Address, *arguments: str) -> Result:
            environment = {"COMITY_PASSPHRASE_FILE": str(secret), "LANGUAGE": "en"}
            return CliRunner().invoke(app, [*arguments, "--home", str(world.home(desk))], env=environment)

        yield message, type_, root


def test_both_sides_print_the_same_fingerprint(office: Any) -> None:
    message, comity, root = office
    prints = []
    for desk in (JP, FR):
        done = comity(desk, "print", message, "--out", str(root / f"{desk.node}.pdf"), "--language", "theirs", "--json")
        assert done.exit_code == 0, done.output
        prints.append(json.loads(done.stdout)["messages"][message])
    assert prints[0] == prints[1]
    assert prints[0] in text_of((root / "jp.pdf").read_bytes())
    assert (root / "jp.pdf").stat().st_mode & 0o777 == 0o600


def test_a_message_is_shown_with_the_fingerprint_of_its_letter(office: Any) -> None:
    message, comity, root = office
    printed_ = json.loads(comity(JP, "print", message, "--out", str(root / "f.pdf"), "--json").stdout)["messages"]
    assert json.loads(comity(FR, "show", message, "--json").stdout)["fingerprint"] == printed_[message]
    assert printed_[message] in comity(FR, "show", message).output


def test_cases_and_messages_are_listed_with_both_references_nation_and_offence(office: Any) -> None:
    message, comity, _root = office
    (case,) = [
        one for one in json.loads(comity(FR, "case", "list", "--json").stdout)["cases"] if one["thread"] == message
    ]
    assert (case["peer_reference"], case["nation"], case["ours"]) == ("NPA-CY-2026-004417", "jp", False)
    for line in (["case", "list", "--with", "Japan", "--theirs"], ["inbox", "--offline"]):
        shown = comity(FR, *line).output
        for text in (message[-8:], "NPA-CY-2026-004417", "Illegal access"):
            assert text in shown, line
    assert "no such case" in comity(FR, "case", "list", "--with", "Ghana").output


def test_a_printed_letter_is_in_the_processing_log_with_who_gets_it(office: Any) -> None:
    message, comity, root = office
    assert comity(JP, "print", message, "--out", str(root / "a.pdf")).exit_code == 0
    records = json.loads(comity(JP, "records", "list", "--json").stdout)["records"]
    done = [record for record in records if record["act"] == "print"]
    assert {record["operation"] for record in done} == {"consultation", "disclosure"}
    assert any("24-7@fr" in json.dumps(record) for record in done)


def test_a_copy_for_a_court_obeys_the_labels_of_the_message(office: Any) -> None:
    _message, comity, root = office
    sent = json.loads(comity(JP, "inbox", "--sent", "--json").stdout)["messages"]
    closed = next(row["id"] for row in sent if row["own_reference"] == "closed")
    handed = ("--disclosure", "--to", "Tokyo District Court", "--purpose", "proceedings")
    done = comity(FR, "print", closed, "--out", str(root / "court.pdf"), *handed)
    assert (done.exit_code, "handling" in done.output, (root / "court.pdf").exists()) == (1, True, False)


def test_a_copy_says_who_gets_it_and_a_plain_letter_takes_no_removals(office: Any) -> None:
    message, comity, root = office
    out = str(root / "copy.pdf")
    copied = comity(
        JP, "print", message, "--out", out, "--disclosure", "--to", "Tokyo District Court", "--purpose", "proceedings",
        "--redact", "authority.telephone=protected",
    )  # fmt: skip
    assert copied.exit_code == 0, copied.output
    assert "Given to Tokyo District Court" in text_of(Path(out).read_bytes())
    assert comity(JP, "print", message, "--out", out, "--redact", "facts=x").exit_code != 0


def test_a_whole_case_is_one_letter(office: Any) -> None:
    message, comity, root = office
    done = comity(JP, "print", message[-8:], "--case", "--out", str(root / "case.pdf"), "--language", "French")
    assert done.exit_code == 0, done.output
    assert "Demande de conservation" in text_of((root / "case.pdf").read_bytes())
