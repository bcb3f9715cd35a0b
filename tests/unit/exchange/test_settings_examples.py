"""Each example of settings in the documentation works as it is written: alone, and behind the file of a desk."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from exchange.settings import DeskSettings, OfficerSettings, WebSettings
from protocol.errors import SettingsError
from tests.worlds.desks import JP, ROOT, World

_BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("docs/officer-guide.md", "docs/desk-api.md", "docs/directory.md", "README.md", "deploy/README.md")
EXAMPLES = [
    pytest.param(text, id=f"{Path(page).stem}-{number}")
    for page in PAGES
    for number, text in enumerate(_BLOCK.findall((ROOT / page).read_text("utf-8")), 1)
]
ADDRESS = 'address = "24-7@jp"\n'


def test_the_guide_has_examples_of_settings() -> None:
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken_alone(example: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(ADDRESS + example, "utf-8")
    read = DeskSettings.load(path)
    # Nothing of it is passed over: each of its names has a value there.
    for section, values in tomllib.loads(example).items():
        assert set(values) <= set(type(getattr(read, section)).model_fields), section


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken_behind_what_the_program_wrote(example: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    officer = OfficerSettings(name="Sato Yui", role="Duty officer")
    DeskSettings(address="24-7@jp", officer=officer, directory_refresh_s=5).save(path)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + example)
    assert DeskSettings.load(path).officer == officer


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    made = DeskSettings(address="24-7@jp", nations="all", web=WebSettings(port=8471))
    made.save(path)
    assert DeskSettings.load(path) == made
    assert "[office]" not in path.read_text("utf-8")


@pytest.mark.outside
def test_the_examples_fit_behind_the_file_of_a_desk_that_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = World(tmp_path, monkeypatch).home(JP) / "settings.toml"
    written = path.read_text("utf-8")
    for param in EXAMPLES:
        path.write_text(f"{written}\n{param.values[0]}", "utf-8")
        DeskSettings.load(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[web]\nport = 8471\n\n[web]\nport = 8472\n", "twice"),
        ('[officer]\nname = "Sato"\nrole = "Duty"\nnations = "all"\n', "before the first section"),
    ],
)
def test_a_section_that_stands_twice_and_a_name_in_the_wrong_place_are_told(
    text: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(ADDRESS + text, "utf-8")
    with pytest.raises(SettingsError, match=says):
        DeskSettings.load(path)
