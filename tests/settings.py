"""The settings, for tests: a `var` of their own, so that a running Ratify is left alone, and stricter checks."""

import os
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
os.environ.setdefault("RATIFY_VAR", str(BASE / "var" / "test"))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("SECRET_KEY", "not a secret: only tests sign with it")

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE, TEMPLATES  # noqa: E402
from tests.strictness import UndefinedVariable  # noqa: E402

# A request that asks the same question for row after row fails.
INSTALLED_APPS = [*INSTALLED_APPS, "zeal"]
MIDDLEWARE = ["zeal.middleware.zeal_middleware", *MIDDLEWARE]
ZEAL_NPLUSONE_THRESHOLD = 3  # twice is a choice, three times is a loop
ZEAL_SHOW_ALL_CALLERS = True

TEMPLATES[0]["OPTIONS"] |= {"string_if_invalid": UndefinedVariable(owned=BASE / "templates")}  # type: ignore[operator]

# Two runs at once do not meet.
DATABASES["default"]["TEST"] = {"NAME": f"test_ratify_{os.getpid()}"}
# A test's rows need not survive a power cut.
DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c synchronous_commit=off"

# A vote counts at once; tests of undoing say otherwise.
UNDO_SECONDS = 0

# Slow on purpose elsewhere; here nobody guesses passwords.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
