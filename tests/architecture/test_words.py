"""The project speaks of itself alone: nothing in it names a place on the machine where it was written."""

import re
import subprocess

import pytest

from tests.architecture.source import ROOT

# Home folders and places where builds run.
PLACES = re.compile(r"(?<![\w./~-])/(?:work|root|home|Users|builds)/[\w.]")


def tracked_files() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [
        name for name in listed.split("\0") if name and not name.startswith(("static/vendor/", "tests/architecture/"))
    ]


def test_no_file_names_a_place_on_a_machine() -> None:
    found = []
    for name in tracked_files():
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        found += [f"{name}: {match[0]}" for match in PLACES.finditer(text)]
    assert found == []


@pytest.mark.parametrize("text", ["see /builds/ratify", 'open("/Users/x")', "(/home/ada/ratify)"])
def test_places_are_recognised(text: str) -> None:
    assert PLACES.search(text)


@pytest.mark.parametrize("text", ["https://example.org/Users/ada", "static/builds/x", "as root / as a user"])
def test_other_texts_are_left_alone(text: str) -> None:
    assert not PLACES.search(text)
