"""A schema fuzzer against the real server over real rows finds nothing: seeded and bounded."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from constitution import tokens
from constitution.models import Role
from constitution.profile_texts import ProfileText
from constitution.profiles import create
from tests import factories
from tests.constitution.test_api import publish_after
from tests.system import ROOT, free_port, wait_for

# What is valid by its schema may still be refused with a sentence: words that no vocabulary has (400), an If-Match
# that is not the newest (412), a text with a character that hides (422).
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "403", "404", "409", "412", "422"]
missing_required_header.expected-statuses = ["401", "404", "415", "422", "428"]
"""
# The server of `bin/up`, on the database of this test.
SERVE = """
import sys
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
import uvicorn
uvicorn.run("config.asgi:application", port=int(sys.argv[2]), log_level="error", lifespan="off")
"""


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_fuzzer_finds_nothing(tmp_path: Path) -> None:
    secret = _prepare()
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += ["--header", f"Authorization: Bearer {secret}", "--seed", "1", "--max-examples", "2", "--no-color"]
    with _server() as site:
        done = subprocess.run(
            [*command, f"{site}/api/v1/openapi.json"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "18 selected / 18 total" in done.stdout


def _prepare() -> str:
    """Two versions, a profile, and a token that may do everything; its secret."""
    owner = factories.make_user("otto", Role.OPERATOR)
    first = factories.publish_founding_version(by=owner)
    publish_after(first, factories.small_constitution()[:3])
    create(content=ProfileText(slug="acme", name="Acme"), by=owner)
    return tokens.issue(name="a fuzzer", scopes=["read", "profiles"], by=owner, per_minute=tokens.HIGHEST_RATE)[1]


@contextmanager
def _server() -> Iterator[str]:
    port = free_port()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVE, str(connection.settings_dict["NAME"]), str(port)]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=nowhere, stderr=nowhere)
    try:
        wait_for(lambda: _answers(port), "the API", seconds=30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(port: int) -> bool:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asked.request("GET", "/api/v1/ping")
        return asked.getresponse().status == 200
    except OSError:
        return False
    finally:
        asked.close()
