"""Templates: none is unused, and none has code or style inline, which the content security policy would drop."""

import re
from pathlib import Path

import pytest

from tests.architecture.source import APPS, ROOT

TEMPLATES = ROOT / "templates"
# Found by other packages, or by Django itself, under these names.
FOUND_BY_NAME = (
    "account/",
    "allauth/",
    "mfa/",
    "usersessions/",
    "socialaccount/",
    "403.html",
    "403_csrf.html",
    "404.html",
    "500.html",
)
USE = re.compile(r"""["']([\w/.-]+\.(?:html|txt|svg))(?:#[\w-]+)?["']""")
INLINE = {
    "script": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.IGNORECASE),
    "style element": re.compile(r"<style\b", re.IGNORECASE),
    "style attribute": re.compile(r"<[^>{}]*\sstyle\s*=", re.IGNORECASE),
    "event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "javascript address": re.compile(r"""["']\s*javascript:""", re.IGNORECASE),
}


def templates() -> dict[str, str]:
    return {str(path.relative_to(TEMPLATES)): path.read_text() for path in sorted(TEMPLATES.rglob("*.*"))}


def named_in(texts: list[str]) -> set[str]:
    return {name for text in texts for name in USE.findall(text)}


def inline(text: str) -> list[str]:
    return [what for what, pattern in INLINE.items() if pattern.search(text)]


def python_texts() -> list[str]:
    return [path.read_text() for app in APPS for path in Path(ROOT / app).rglob("*.py")]


def test_every_template_is_used() -> None:
    texts = templates()
    used = named_in([*python_texts(), *texts.values()])
    assert [name for name in texts if name not in used and not name.startswith(FOUND_BY_NAME)] == []


def test_every_template_that_is_named_exists() -> None:
    pages = [path.read_text() for app in APPS for path in Path(ROOT / app).rglob("views*.py")]
    named = named_in([*pages, *templates().values()])
    assert sorted(name for name in named if not (TEMPLATES / name).exists() and name.endswith(".html")) == []


def test_nothing_is_inline() -> None:
    assert {name: found for name, text in templates().items() if (found := inline(text))} == {}


@pytest.mark.parametrize(
    "bad",
    [
        "<script>go()</script>",
        "<style>a{}</style>",
        '<p style="color:red">',
        '<a onclick="go()">',
        '<a href="javascript:go()">',
    ],
)
def test_inline_finds_its_bad_example(bad: str) -> None:
    assert inline(bad)


@pytest.mark.parametrize("good", ['<script src="a.js"></script>', '<p class="style on">', '<svg font-style="x">'])
def test_inline_leaves_good_markup_alone(good: str) -> None:
    assert inline(good) == []
