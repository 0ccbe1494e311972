"""`manage.py dev`: everything that Ratify needs, from the database to the workers, on one machine."""

import io
import os
import signal
import socket
import sys
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand
from django.db import connection

from config import env, programs, sign_in, startup
from config.embedded.errors import EmbeddedError
from config.supervision import Supervisor

WEB_SECONDS = 60
LOOK_SECONDS = 0.2
LOCAL = ("127.0.0.1", "0.0.0.0")  # noqa: S104  what people here call localhost
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    help = "Start the database, the broker, the web server, the workers and beat; Ctrl-C stops them all."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.began = time.monotonic()
        self.stopping = threading.Event()
        self.site = f"http://{'localhost' if env.HOST in LOCAL else env.HOST}:{env.PORT}"
        try:
            startup.check_space(settings.VAR)
            lock = startup.lock(settings.VAR, site=self.site)
            listening = startup.listen(env.HOST, env.PORT)
            connection.ensure_connection()  # as a user of the embedded server, for as long as this runs
        except (startup.CannotStartError, EmbeddedError) as refusal:
            self.stderr.write(str(refusal))
            sys.exit(1)
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: self.stopping.set())
        with lock, listening:
            sys.exit(self.run(listening))

    def run(self, listening: socket.socket) -> int:
        """Start everything, keep it alive until asked to stop, and stop it. Returns the exit status."""
        supervisor = Supervisor(self.say)
        try:
            self.start(supervisor, listening)
            while not self.stopping.wait(LOOK_SECONDS):
                if not supervisor.look_after_all():
                    return 1
        finally:
            asked = time.monotonic()
            self.say("up", "Stopping.")
            supervisor.stop_all()
            connection.close()
            self.say("up", f"Stopped in {time.monotonic() - asked:.1f} s. Nothing is lost: bin/up goes on from here.")
        return 0

    def start(self, supervisor: Supervisor, listening: socket.socket) -> None:
        """Prepare, serve, and only then start the workers, which would compete with the web for the processor."""
        self.say("up", f"The database runs ({self.elapsed()}).")
        if not os.environ.get("BROKER_URL"):
            supervisor.start(programs.broker(settings.VAR))
        with startup.collect_static_files(env.BASE / "manage.py") as collecting:
            self.prepare_tables()
        if collecting.returncode:
            self.say("up", "The static files could not be collected; pages will lack their looks.")
        self.say("up", f"Tables and files are ready ({self.elapsed()}).")
        supervisor.start(programs.web(listening.fileno()))
        self.wait_for_web(supervisor)
        self.say("up", f"Ratify serves at {self.site}/ ({self.elapsed()}). Ctrl-C stops everything.")
        self.offer_link()
        self.start_workers(supervisor)

    def prepare_tables(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        if "seed" in get_commands():
            told = io.StringIO()
            call_command("seed", stdout=told)
            for line in told.getvalue().splitlines():
                self.say("seed", line)

    def offer_link(self) -> None:
        administrator = startup.first_administrator()
        if administrator is None:
            self.say("up", "Nobody administers this installation yet: python manage.py createsuperuser")
        else:
            link = sign_in.link_for(administrator, site=self.site)
            self.say("up", f"Sign in as {administrator.get_username()}, once, within a day: {link}")

    def start_workers(self, supervisor: Supervisor) -> None:
        supervisor.start(programs.cpu_worker())
        supervisor.start(programs.beat())
        if programs.has_model_libraries():
            supervisor.start(programs.gpu_worker())
        else:
            self.say("up", "There is no gpu worker: the model's libraries are not installed here.")

    def wait_for_web(self, supervisor: Supervisor) -> None:
        deadline = time.monotonic() + WEB_SECONDS
        while not self.stopping.wait(0.05) and time.monotonic() < deadline:
            supervisor.look_after_all()
            with suppress(OSError), closing(HTTPConnection(env.HOST, env.PORT, timeout=10)) as web:
                web.request("GET", "/healthz")
                web.getresponse()  # whatever it says, it serves
                return

    def elapsed(self) -> str:
        return f"{time.monotonic() - self.began:.1f} s"

    def say(self, name: str, line: str) -> None:
        self.stdout.write(f"{name:>6} | {line}")
        self.stdout.flush()
