"""A web process that has served every page has loaded nothing of the model's libraries."""

import json
import os
import subprocess
import sys

import pytest
from django.db import connection
from django.urls import reverse

from constitution.models import Role, User
from tests import factories
from tests.architecture.source import ROOT
from tests.architecture.test_access import ACCESS, OURS, Things

HEAVY = ("torch", "transformers", "trl", "peft", "sklearn", "scipy", "datasets", "accelerate", "safetensors", "gguf")
# A process of its own: this one may have loaded anything. It joins the database of this test.
SERVE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import django
from django.conf import settings
name, username, paths = json.loads(sys.argv[1])
settings.DATABASES["default"]["NAME"] = name
settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
import config.asgi
from django.test import Client
from django.contrib.auth import get_user_model
client = Client()
client.force_login(get_user_model().objects.get(username=username))
statuses = {path: client.get(path).status_code for path in paths}
print(json.dumps({"statuses": statuses, "modules": sorted(sys.modules)}))
"""


@pytest.mark.django_db(transaction=True)
def test_web_process_that_served_every_page_has_not_imported_torch() -> None:
    factories.publish_founding_version()
    amendment = factories.propose_revision("T-03", "Decline in one sentence.")
    everyone = User.objects.get(username="founder")
    everyone.roles = [role.value for role in Role]
    everyone.save()
    things = Things(pk=amendment.pk, number=1, old=1, new=1, digest=amendment.digest, profile="none")
    paths = [
        reverse(name, kwargs={argument: getattr(things, argument) for argument in ACCESS[name].kwargs})
        for name in OURS
        if ACCESS[name].method == "get"
    ]
    told = _serve(json.dumps([connection.settings_dict["NAME"], "founder", paths]))
    assert set(told["statuses"].values()) <= {200, 302, 401, 403, 404}
    assert list(told["statuses"].values()).count(200) >= 9
    assert [name for name in HEAVY if name in told["modules"]] == []


def _serve(arguments: str) -> dict[str, dict[str, int]]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVE, arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
    return told
