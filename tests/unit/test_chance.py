"""No test is left to chance: none waits less than a busy machine takes, none draws what may be the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
# What runs outside of the suite, or writes the vectors of fixed bytes, is not looked at.
ELSEWHERE = {"mutation", "vectors", "generators"}
SHORTEST_S = 60
LIMITS = {"timeout", "timeout_s", "within_s"}
# A page may still change, or be read: only what waits for it looks at it.
AT_ONCE = {
    "inner_text",
    "inner_html",
    "text_content",
    "all_inner_texts",
    "all_text_contents",
    "is_visible",
    "is_hidden",
}
DRAWN = re.compile(r"random\.(random|choice|choices|randrange|randint|sample|shuffle|randbytes|uniform|getrandbits)")

# The end of the wait is what these test, or these lines wait for nothing that has to come.
ENDS = {
    "asyncio.timeout(2)",  # of two that wait, the other one may come instead
    "bucket_settings(address, bucket, tmp_path, retries=0, timeout_s=1)",
    "shutdown_timeout=0.1",
}
# Bytes that are the same at each run: the other one in their place is another one.
FIXED = {
    "good[:1] + b'\\x85' + good[2:]",
    "good[:1] + b'\\x85'",
    "note[:-3] + b' ' + note[-3:]",
    "note[:-3] + b' '",
    "opened.content[:39] + b'?'",
    "SALT[:-1] + b'\\x01'",
    "padded[:-1] + b'\\x01'",
}
# Days that every year has.
EVERY_YEAR = {"now.replace(year=2027)", "written.replace(year=2027)"}


def short_limits(node: ast.AST) -> bool:
    """A limit of a wait that a busy machine reaches: ``asyncio.timeout(20)``, ``timeout=20``."""
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    given = [word.value for word in node.keywords if word.arg in LIMITS]
    if name == "asyncio.timeout" or name.endswith("wait_for"):
        given += node.args[-1:]
    milliseconds = 1_000 if name.startswith("expect(") or "page." in name else 1
    return any(
        isinstance(one, ast.Constant)
        and isinstance(one.value, int | float)
        and 0 < one.value < SHORTEST_S * milliseconds
        for one in given
    )


def tries(node: ast.AST) -> bool:
    """A number of tries with a pause between them: it is a limit as well, and another one on each machine."""
    if not (isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range"):
        return False
    return "break" in (text := ast.unparse(node)) and bool(re.search(r"\bsleep\((?!0\))|\.goto\(|\.reload\(", text))


def looks_at_once(node: ast.AST) -> bool:
    """A page that is looked at without waiting for what it shows."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in AT_ONCE


def draws_unseeded(node: ast.AST) -> bool:
    """What the module ``random`` draws without a seed: a failure that nobody can repeat."""
    return isinstance(node, ast.Call) and bool(DRAWN.fullmatch(ast.unparse(node.func)))


def another_year(node: ast.AST) -> bool:
    """The same day of another year: on 29 February there is none."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "replace"):
        return False
    fixed = ast.unparse(node.func.value).rpartition(".")[0] or ast.unparse(node.func.value)
    return not fixed.isupper() and any(word.arg in {"year", "month"} for word in node.keywords)


def same_now_and_then(node: ast.AST) -> bool:
    """A fixed byte in the place of one that may be the same: :func:`tests.worlds.altered.one_bit_off` is not."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)):
        return False
    text = ast.unparse(node)
    return bool(
        re.fullmatch(r"(\w[\w.]*)\[:-?\d+\] \+ b'[^']{1,4}'( \+ \1\[-?\d+:\])?", text)
        or re.fullmatch(r"b'[^']{1,4}' \+ (\w[\w.]*)\[\d:\]", text)
    )


def too_slow_to_draw(node: ast.AST) -> bool:
    """A list of health checks that replaces the one of all tests, and judges a busy machine again."""
    if not (isinstance(node, ast.keyword) and node.arg == "suppress_health_check"):
        return False
    return not re.search(r"too_slow|list\(HealthCheck\)", ast.unparse(node.value))


RULES: dict[str, tuple[Callable[[ast.AST], bool], set[str], str]] = {
    "short limits": (short_limits, ENDS, ""),
    "tries": (tries, set(), ""),
    "looks at once": (looks_at_once, set(), "e2e"),
    "drawn without a seed": (draws_unseeded, set(), ""),
    "another year": (another_year, EVERY_YEAR, ""),
    "the same now and then": (same_now_and_then, FIXED, ""),
    "too slow to draw": (too_slow_to_draw, set(), ""),
}


def trees() -> Iterator[tuple[Path, str, ast.Module]]:
    """Each file of tests: where it is, its text, and the same parsed."""
    for path in sorted(TESTS.rglob("*.py")):
        where = path.relative_to(TESTS)
        if where.parts[0] not in ELSEWHERE and path != Path(__file__).resolve():
            text = path.read_text("utf-8")
            yield where, text, ast.parse(text)


def found(rule: str, where: Path, text: str, tree: ast.Module) -> list[str]:
    """Each place in a file that breaks a rule."""
    breaks, known, folder = RULES[rule]
    if not where.as_posix().startswith(folder):
        return []
    if rule == "drawn without a seed" and not re.search(r"^import random$", text, re.MULTILINE):
        return []  # the name is that of a generator with a seed
    places = [node for node in ast.walk(tree) if breaks(node)]
    return [f"{where}:{node.lineno}: {ast.unparse(node)[:90]}" for node in places if ast.unparse(node) not in known]


def test_nothing_is_left_to_chance_or_to_how_fast_a_machine_is() -> None:
    wrong = [
        f"{rule}: {one}" for where, text, tree in trees() for rule in RULES for one in found(rule, where, text, tree)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("short limits", "async with asyncio.timeout(20): pass"),
        ("short limits", "asyncio.wait_for(it, 5)"),
        ("short limits", "process.communicate(timeout=30)"),
        ("short limits", "expect(page).to_have_count(1, timeout=5_000)"),
        ("tries", "for _ in range(50):\n if it(): break\n time.sleep(0.1)"),
        ("looks at once", "page.locator('h1').inner_text()"),
        ("drawn without a seed", "import random\nrandom.choice(them)"),
        ("too slow to draw", "settings(suppress_health_check=[HealthCheck.function_scoped_fixture])"),
        ("another year", "clock().replace(year=2027)"),
        ("the same now and then", "raw[:-1] + b'x'"),
        ("the same now and then", "raw[:3] + b'x' + raw[4:]"),
        ("the same now and then", "b'x' + raw[1:]"),
    ],
)
def test_each_of_these_shapes_is_seen(rule: str, source: str) -> None:
    assert found(rule, Path("e2e/test_it.py"), source, ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "async with asyncio.timeout(WITHIN_S): pass",
        "process.communicate(timeout=60)",
        "expect(page).to_have_count(1, timeout=60_000)",
        "for _ in range(5):\n await asyncio.sleep(0)",
        "for one in range(5):\n it(one)",
        "random.choice(them)",
        "NOW.replace(year=2027)",
        "one_bit_off(raw)",
        "settings(suppress_health_check=[HealthCheck.too_slow])",
        "raw[:-1] + other",
    ],
)
def test_what_waits_as_long_as_it_takes_is_let_be(source: str) -> None:
    assert not any(found(rule, Path("e2e/test_it.py"), source, ast.parse(source)) for rule in RULES)
