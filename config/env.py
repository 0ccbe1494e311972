"""Everything that Ratify reads from its environment, typed and with its default, in one place."""

import os
import secrets
from pathlib import Path
from typing import Any

import environ  # type: ignore[import-untyped]

from config.embedded import postgres, valkey

BASE = Path(__file__).resolve().parent.parent
ENV = environ.Env()

VAR = Path(ENV.str("RATIFY_VAR", default=str(BASE / "var"))).absolute()
DEBUG: bool = ENV.bool("DEBUG", default=False)
ALLOWED_HOSTS: list[str] = ENV.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
HTTPS: bool = ENV.bool("HTTPS", default=False)
HASHED_STATIC: bool = ENV.bool("HASHED_STATIC", default=False)
LOG_JSON: bool = ENV.bool("LOG_JSON", default=False)
HOST: str = ENV.str("HOST", default="127.0.0.1")
PORT: int = ENV.int("PORT", default=8000)
SITE: str = ENV.str("SITE", default=f"http://{'localhost' if HOST in ('0.0.0.0', '127.0.0.1') else HOST}:{PORT}")  # noqa: S104
MODEL: str = ENV.str("MODEL", default="")
ENGINE_DEVICE: str = ENV.str("ENGINE_DEVICE", default="auto")
ROUND_PRESET: str = ENV.str("ROUND_PRESET", default="cpu")
ROUND_DEBOUNCE: int = ENV.int("ROUND_DEBOUNCE", default=5)
SIGNING_KEY: str = ENV.str("SIGNING_KEY", default="")
UNDO_SECONDS: int = ENV.int("UNDO_SECONDS", default=10)
WEBHOOKS_TO_PRIVATE: bool = ENV.bool("WEBHOOKS_TO_PRIVATE", default=DEBUG)
FREE_DISK_MB: int = ENV.int("FREE_DISK_MB", default=1024)
FREE_MEMORY_MB: int = ENV.int("FREE_MEMORY_MB", default=1024)
FREE_GPU_MEMORY_MB: int = ENV.int("FREE_GPU_MEMORY_MB", default=1024)
KEEP_MODELS: int = ENV.int("KEEP_MODELS", default=0)
ARTEFACTS_URL: str = ENV.str("ARTEFACTS_URL", default="")
SURFACING_SCENARIOS: int = ENV.int("SURFACING_SCENARIOS", default=40)
READING_EVERY: int = ENV.int("READING_EVERY", default=24)
PRODUCER: str = ENV.str("PRODUCER", default="local")
PRODUCER_MODEL: str = ENV.str("PRODUCER_MODEL", default="")
JUDGE: str = ENV.str("JUDGE", default="probe")
JUDGE_READINGS: str = ENV.str("JUDGE_READINGS", default=JUDGE)
JUDGE_PREVIEWS: str = ENV.str("JUDGE_PREVIEWS", default=JUDGE)
JUDGE_ROUNDS: str = ENV.str("JUDGE_ROUNDS", default=JUDGE)
JUDGE_MODEL: str = ENV.str("JUDGE_MODEL", default="")
ENGINE_URL: str = ENV.str("ENGINE_URL", default="")
ENGINE_KEY: str = ENV.str("ENGINE_KEY", default="")
ENGINE_TIMEOUT: float = ENV.float("ENGINE_TIMEOUT", default=30.0)
ENGINE_TRIES: int = ENV.int("ENGINE_TRIES", default=3)


def database() -> dict[str, Any]:
    """The default database: `DATABASE_URL`, or the embedded server, which starts on first connection."""
    # Web threads and workers live long, so each keeps its connection; a dead one is noticed before use.
    lasting = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
    # Planning takes most of what a short statement takes: one that comes again is planned once for a connection.
    planned_once = {"server_side_binding": True, "prepare_threshold": 3}
    if "DATABASE_URL" in ENV.ENVIRON:
        given: dict[str, Any] = ENV.db_url("DATABASE_URL")
        return {**given, "OPTIONS": planned_once | given.get("OPTIONS", {}), **lasting}
    return {
        "ENGINE": "config.postgresql",
        "NAME": postgres.DATABASE,
        "USER": postgres.SUPERUSER,
        "HOST": str(postgres.socket_folder(VAR)),
        "OPTIONS": planned_once,
        **lasting,
    }


def broker_url() -> str:
    """`BROKER_URL`, or the socket of the embedded broker."""
    given: str = ENV.str("BROKER_URL", default="")
    return given or valkey.url(VAR)


def secret_key() -> str:
    """`SECRET_KEY`, or a key made once and kept in `var/secret_key`, readable by its owner only."""
    given: str = ENV.str("SECRET_KEY", default="")
    if given:
        return given
    file = VAR / "secret_key"
    if not file.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        draft = VAR / f"secret_key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            file.hardlink_to(draft)  # of two processes at once, the first to link wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text()
