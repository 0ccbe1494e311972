"""Settings from the environment, each read in a process of its own, as any start reads them."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from config.embedded import valkey
from tests.system import ROOT

DROPPED = ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "DEBUG", "DJANGO_SETTINGS_MODULE")


def settings_with(var: Path, expression: str, **environment: str) -> Any:
    """The value of an expression over `settings` and `app`, in a new process with these variables."""
    inherited = {name: value for name, value in os.environ.items() if name not in DROPPED}
    code = (
        "import json, django; django.setup()\n"
        "from django.conf import settings\nfrom config.celery import app\n"
        f"print(json.dumps({expression}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**inherited, "DJANGO_SETTINGS_MODULE": "config.settings", "RATIFY_VAR": str(var), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_settings_without_urls_name_the_embedded_services_and_start_none(tmp_path: Path) -> None:
    engine, broker, debug = settings_with(
        tmp_path, "[settings.DATABASES['default']['ENGINE'], app.conf.broker_url, settings.DEBUG]"
    )
    assert engine == "config.postgresql"
    assert broker == valkey.url(tmp_path)
    assert debug is False
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "valkey").exists()


def test_settings_with_urls_use_them(tmp_path: Path) -> None:
    database, broker, options = settings_with(
        tmp_path,
        "[settings.DATABASES['default'], app.conf.broker_url, app.conf.broker_transport_options]",
        DATABASE_URL="postgresql://ann:secret@db.example:5433/law?sslmode=require",
        BROKER_URL="amqp://ann:secret@mq.example//",
    )
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 5433, "law")
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["OPTIONS"]["server_side_binding"], "statements are prepared there as here"
    assert broker == "amqp://ann:secret@mq.example//"
    assert options == {}, "only the Redis protocol knows a visibility timeout"


def test_secret_key_is_made_once_also_by_many_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        keys = set(pool.map(lambda _: settings_with(tmp_path, "settings.SECRET_KEY"), range(3)))
    assert keys == {(tmp_path / "secret_key").read_text()}
    assert len(keys.pop()) > 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.glob("secret_key*")] == ["secret_key"]


def test_https_makes_cookies_secure(tmp_path: Path) -> None:
    names = "[settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY]"
    assert settings_with(tmp_path, names) == [False, False, True]
    assert settings_with(tmp_path, names, HTTPS="1") == [True, True, True]
