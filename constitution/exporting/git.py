"""The history as a git repository: a commit for each version, a file for each principle, a line for each sentence.

Nothing but the history enters a commit: the same history gives the same commits wherever and whenever it is exported.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from constitution.errors import Refused
from constitution.exporting.documents import TIERS, clause_document, contents
from constitution.exporting.folders import make_empty
from constitution.exporting.histories import Published
from constitution.texts import ClauseText

BRANCH = "refs/heads/main"
NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f<>]+")
NOT_IN_AN_ADDRESS = re.compile(r"[^A-Za-z0-9.@+_-]+")
SUBJECT_LENGTH = 72  # as git's own tools show it


def write_repository(versions: Iterable[Published], folder: Path) -> str:
    """Make a repository of `versions` in `folder`, which must be new or empty; return the digest of its last commit.

    Raises Refused where the folder cannot be used, git is not there, or there is no version.
    """
    make_empty(folder)
    _git(folder, "init", "--quiet", "--template=", "--object-format=sha1", "--initial-branch=main")
    _fast_import(folder, stream(versions))
    _git(folder, "checkout", "--quiet", "--force", "main")
    return _git(folder, "rev-parse", "HEAD").strip()


def stream(versions: Iterable[Published]) -> Iterator[bytes]:
    """The commits in the format of `git fast-import`, oldest first. Files that stay as they were are not repeated."""
    before: Mapping[str, ClauseText] = {}
    listed = ""
    for version in versions:
        after = {_path(clause): clause for clause in version.clauses}
        yield _commit(version)
        for path in sorted(before.keys() - after.keys()):
            yield f"D {path}\n".encode()
        for path, clause in sorted(after.items()):
            if before.get(path) != clause:
                yield _file(path, clause_document(clause))
        if (now := contents(version)) != listed:
            yield _file("README.md", now)
        yield b"\n"
        before, listed = after, now
    yield b"done\n"


def _path(clause: ClauseText) -> str:
    """A folder for each tier. An id is checked to be letters, digits, `-` and `_` before it becomes a clause's."""
    return f"{clause.tier}-{TIERS[clause.tier].lower()}/{clause.principle}.md"


def _file(path: str, content: str) -> bytes:
    return f"M 100644 inline {path}\n".encode() + _data(content.encode())


def _commit(version: Published) -> bytes:
    name = " ".join(NOT_IN_A_NAME.sub(" ", version.author).split()) or "unknown"
    address = NOT_IN_AN_ADDRESS.sub("-", version.username)
    seconds = max(0, int(version.published_at.timestamp()))  # git counts from 1970 and not back
    who = f"{name} <{address}@users.invalid> {seconds} +0000"
    heading = f"commit {BRANCH}\nauthor {who}\ncommitter {who}\n".encode()
    return heading + _data(_message(version).encode())


def _message(version: Published) -> str:
    """The first line of the summary, shortened; the whole summary where it says more; what the version is."""
    summary = version.summary.replace("\x00", "").strip() or version.title
    first = summary.split("\n", maxsplit=1)[0]
    subject = first if len(first) <= SUBJECT_LENGTH else f"{first[: SUBJECT_LENGTH - 1].rstrip()}…"
    body = [] if subject == summary else [summary]
    reference = [f"Amendment: {version.amendment.removeprefix('amendment:')}"] if version.amendment else []
    trailers = [f"Version: {version.number}", f"Digest: {version.digest}", *reference]
    return "\n\n".join([subject, *body, "\n".join(trailers)]) + "\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _fast_import(folder: Path, content: Iterable[bytes]) -> None:
    with _start(folder, "fast-import", "--quiet", "--done", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101  a pipe was asked for
        with suppress(BrokenPipeError):  # git has stopped, and says why
            process.stdin.writelines(content)
        _output, errors = process.communicate()
    _check(process, errors, "fast-import")


def _git(folder: Path, *arguments: str) -> str:
    with _start(folder, *arguments) as process:
        output, errors = process.communicate()
    _check(process, errors, arguments[0])
    return output.decode()


def _check(process: subprocess.Popen[bytes], errors: bytes, verb: str) -> None:
    if process.returncode:
        raise Refused(f"git {verb} failed: {errors.decode(errors='replace').strip()}")


def _start(folder: Path, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """git in `folder`, deaf to the settings of the person and the machine."""
    settings = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.Popen(
            ["git", *arguments],
            cwd=folder,
            env={**kept, **settings},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise Refused("git is not installed here; the export as JSON needs no other program.") from error
