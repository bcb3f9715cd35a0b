"""Trust policies as C2SP tlog-policy writes them: what they accept, what they refuse, and when a quorum is met."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import ComityError, MalformedError, TooLargeError
from protocol.log.checkpoint import SoftLogSigner
from protocol.log.note import parse_vkey
from protocol.log.policy import MAX_LINES, Policy, PolicyGroup, PolicyLog, PolicyWitness, format_policy, parse_policy
from protocol.log.witness import SoftWitnessSigner

LOG = SoftLogSigner("node.example/jp", b"\x11" * 32, b"\x22" * 32).verifier
VKEYS = [SoftWitnessSigner(f"w.example/w{n}", bytes([n]) * 32, bytes([n]) * 32).verifier.vkeys for n in range(1, 7)]
A, B = VKEYS[0][0], VKEYS[1][1]

# The example of the specification, with keys.
EXAMPLE = f"""log {LOG.vkeys[0]}

witness X1 {VKEYS[0][0]}
witness X2 {VKEYS[1][0]}
witness X3 {VKEYS[2][0]}
group X-witnesses 2 X1 X2 X3

witness Y1 {VKEYS[3][1]}
witness Y2 {VKEYS[4][1]}
witness Y3 {VKEYS[5][1]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".encode()


def test_the_example_of_the_specification_needs_two_x_and_one_y() -> None:
    policy = parse_policy(EXAMPLE)
    names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]

    assert policy.names == policy.decisive == set(names)
    assert [log.key for log in policy.logs] == [parse_vkey(LOG.vkeys[0])]
    for count in range(7):
        for cosigned in combinations(names, count):
            xs = sum(name.startswith("X") for name in cosigned)
            assert policy.is_met_by(cosigned) == (xs >= 2 and xs < count)
    assert not policy.is_met_by(["X-witnesses", "Y-witnesses", "X-and-Y"])  # groups do not cosign


def test_a_single_witness_or_none_is_a_quorum() -> None:
    assert parse_policy(b"quorum none\n").is_met_by([])
    policy = parse_policy(f"witness w {A} https://w.example/\nquorum w\n".encode())
    assert policy.is_met_by(["w"])
    assert not policy.is_met_by([])
    assert policy.witnesses == (PolicyWitness("w", parse_vkey(A), "https://w.example/"),)


def test_comments_blank_lines_and_any_spaces_are_allowed() -> None:
    text = f"# a comment\n \t# another \xe9\n\n \t\n\twitness \t w {A} \t\n  quorum\tw  \n"
    assert parse_policy(text.encode()).is_met_by(["w"])


def test_names_are_octets() -> None:
    kelvin, latin = b"\xe2\x84\xaa", b"caf\xe9"
    policy = parse_policy(
        b"\n".join([b"witness K " + A.encode(), b"witness " + latin + b" " + B.encode()]) + b"\nquorum K\n"
    )
    assert len(policy.witnesses) == 2
    assert b"witness " + latin + b" " in format_policy(policy)
    with pytest.raises(MalformedError, match="no line before"):
        parse_policy(b"witness K " + A.encode() + b"\nquorum " + kelvin + b"\n")


def test_names_given_from_outside_count_as_witnesses() -> None:
    policy = parse_policy(b"group majority 2 jp fr de\nquorum majority\n", ["jp", "fr", "de", "gr"])
    assert policy.is_met_by(["de", "jp"])
    assert not policy.is_met_by(["de", "gr"])
    assert policy.decisive == {"jp", "fr", "de"}
    with pytest.raises(MalformedError):
        parse_policy(b"group jp 1 fr\nquorum jp\n", ["jp", "fr"])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    count = draw(st.integers(0, 6))
    url = st.none() | st.just("https://w.example:8443/w")
    witnesses = tuple(
        PolicyWitness(f"w{n}", parse_vkey(draw(st.sampled_from(VKEYS[n]))), draw(url)) for n in range(count)
    )
    free = [witness.name for witness in witnesses]
    groups: list[PolicyGroup] = []
    for number in range(draw(st.integers(0, 4))):
        if not free:
            break
        members = tuple(draw(st.lists(st.sampled_from(free), min_size=1, unique=True)))
        groups.append(PolicyGroup(f"g{number}", draw(st.integers(1, len(members))), members))
        free = [name for name in free if name not in members] + [f"g{number}"]
    names = ["none", *(w.name for w in witnesses), *(g.name for g in groups)]
    logs = (PolicyLog(parse_vkey(LOG.vkeys[draw(st.integers(0, 1))]), draw(url)),)
    return Policy(logs[: draw(st.integers(0, 1))], witnesses, tuple(groups), draw(st.sampled_from(names)))


@given(policies())
@settings(max_examples=60)
def test_policies_round_trip_and_more_cosignatures_never_harm(policy: Policy) -> None:
    assert parse_policy(format_policy(policy)) == policy
    names = sorted(policy.names)
    met = [policy.is_met_by(names[:count]) for count in range(len(names) + 1)]
    assert met == sorted(met)
    assert met[-1]  # every threshold can be reached
    assert policy.is_met_by(policy.decisive)


@given(st.binary(max_size=120))
def test_any_bytes_give_a_policy_or_a_typed_error(encoded: bytes) -> None:
    try:
        policy = parse_policy(encoded, ["jp"])
    except ComityError:
        return
    assert parse_policy(format_policy(policy), ["jp"]) == policy


W = f"witness a {A}\nwitness b {B}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "quorum line"),
        (W, "quorum line"),
        ("quorum none", "newline"),
        ("quorum none\nquorum none\n", "one quorum"),
        ("quorum\n", "names one"),
        (W + "quorum a b\n", "names one"),
        (W + "quorum c\n", "no line before"),
        ("quorum a\n" + W, "no line before"),
        (W + "group g 1 c\nquorum a\n", "no line before"),
        (W + "group g 1 g\nquorum a\n", "no line before"),
        (W + "group g 1 h\ngroup h 1 g\nquorum a\n", "no line before"),
        (W + "group g 1 none\nquorum a\n", "none"),
        (W + "group none 1 a\nquorum a\n", "defined already"),
        (W + "group a 1 b\nquorum a\n", "defined already"),
        (W + "group g 1\nquorum a\n", "one member"),
        (W + "group g\nquorum a\n", "one member"),
        (W + "group g 1 a a\nquorum a\n", "twice"),
        (W + "group g 1 a\ngroup h 1 a\nquorum h\n", "another group"),
        (W + "group g 0 a b\nquorum g\n", "threshold"),
        (W + "group g 3 a b\nquorum g\n", "threshold"),
        (W + "group g 01 a b\nquorum g\n", "threshold"),
        (W + "group g most a b\nquorum g\n", "threshold"),
        (f"witness none {A}\nquorum none\n", "defined already"),
        (f"witness a {A}\nwitness a {B}\nquorum a\n", "defined already"),
        (f"witness a {A}\nwitness b {A}\nquorum a\n", "twice"),
        (f"witness a {A} url more\nquorum a\n", "witness line"),
        ("witness a\nquorum none\n", "witness line"),
        ("witness a key\nquorum none\n", "base64|unknown type"),
        (f"witness a {LOG.vkeys[0]}\nquorum a\n", "type"),
        (f"log {A}\nquorum none\n", "type"),
        (f"log {LOG.vkeys[0]}\nlog {LOG.vkeys[0]}\nquorum none\n", "twice"),
        (f"log {LOG.vkeys[0]} url more\nquorum none\n", "log line"),
        ("log\nquorum none\n", "log line"),
        ("Quorum none\n", "begins with"),
        ("quorum none\r\n", "control"),
        ("quorum none\x7f\n", "control"),
        ("quorum none\x00\n", "control"),
        ("quorum\u00a0none\n", "begins with"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(text: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        parse_policy(text.encode())


def test_one_key_under_two_names_is_refused() -> None:
    """Duplicates are the same public key, even if the names and key ids differ."""
    other = SoftWitnessSigner("another.example/w", bytes([1]) * 32, bytes([1]) * 32).verifier.vkeys[0]
    with pytest.raises(MalformedError, match="twice"):
        parse_policy(f"witness a {A}\nwitness b {other}\nquorum a\n".encode())


def test_a_policy_beyond_the_limits_is_refused() -> None:
    with pytest.raises(TooLargeError):
        parse_policy(b"\n" * (MAX_LINES + 1) + b"quorum none\n")
    with pytest.raises(TooLargeError):
        parse_policy(b"#" * 4_194_305)
