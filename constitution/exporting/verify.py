"""Check this export: python3 verify.py [FOLDER] [--head DIGEST] [--key KEY]

Needs Python 3.8 or newer and nothing else, and trusts nobody: every digest in the folder is computed again.

  ledger.jsonl    every entry of the ledger; each holds the digest of the one before it
  clauses.jsonl   every wording, under the digest of its content
  versions.jsonl  every version, as the digests of its clauses, in order
  head.json       the newest version and the ledger's last entry at the time of the export, signed if there was a key

A digest is the SHA-256 of a value written as JSON with sorted keys, without spaces, in UTF-8. An entry's digest covers
all its fields but `digest`; a version's covers the list of its clauses' digests. A signature (Ed25519, RFC 8032) covers
all fields of head.json but `signature`; in the ledger's entry for a version, {"constitution", "digest", "number"}.

A chain shows that nothing inside it was changed. Whether its end was cut off, or the whole of it written anew, only
shows against something known from elsewhere: `--head DIGEST` is the digest of an entry (or a version) that you have
seen before, `--key KEY` the publisher's public key, as 64 hexadecimal digits or a PEM file.

Exit status: 0 where everything holds, 1 where something does not; the first thing that does not is named.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GENESIS = "0" * 64
PUBLISHED = "version published"


class Broken(Exception):
    """What does not hold, as a sentence that names the place."""


class Link(NamedTuple):
    """What the chain needs of an entry. `own` is the digest computed from what the entry says."""

    number: Any
    previous: str
    digest: str
    own: str

    @property
    def is_intact(self) -> bool:
        return self.digest == self.own


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a file, one a line."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            yield read_object(line, f"{path.name}, line {number}")


def read_object(content: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Broken(f"{place}: this is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise Broken(f"{place}: this is not an object.")
    return value


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value[key] for key in value if key != name}


# The ledger


def check_ledger(path: Path) -> tuple[list[Link], dict[str, dict[str, Any]]]:
    """All links of the chain, and what it says of each version's publication by subject."""
    links, repeated = [], []
    published: dict[str, dict[str, Any]] = {}
    for entry in read_lines(path):
        own = digest(without(entry, "digest"))
        links.append(Link(entry.get("number"), str(entry.get("previous")), str(entry.get("digest")), own))
        if entry.get("action") == PUBLISHED:
            first = published.setdefault(str(entry.get("subject")), entry)
            repeated += [(first, entry)] if first is not entry else []
    check_chain(links)
    for first, entry in repeated:
        raise Broken(f"Entry {entry['number']} publishes again what entry {first['number']} published.")
    return links, published


def check_chain(links: list[Link]) -> None:
    previous = GENESIS
    for place, link in enumerate(links):
        if link.number != place + 1 or link.previous != previous or not link.is_intact:
            raise Broken(explain(links, place, previous))
        previous = link.digest


def explain(links: list[Link], place: int, previous: str) -> str:
    """What was done to the first entry that does not hold; `previous` is the digest of the last one that does."""
    link, rest, number = links[place], links[place + 1 :], place + 1
    if place and link.previous == links[place - 1].previous:
        return f"Entry {place} was inserted: entry {number} follows the entry before it."
    if any(later.previous == previous for later in rest):
        if any(later.digest == link.previous for later in rest):
            return f"Entry {number} is out of order: it follows an entry that comes after it."
        return f"Entry {number} was inserted: an entry after it follows entry {number - 1}."
    if link.number != number and link.is_intact:
        return f"Entry {number} is missing: after {number - 1} comes {link.number}."
    if not link.is_intact:
        return f"Entry {number} was altered: its digest does not match what it says."
    if place and rest and rest[0].previous == link.digest:
        return f"Entry {place} was altered and its digest computed anew: entry {number} follows another entry {place}."
    return f"Entry {number} was altered or inserted: it does not follow entry {place}."


def detail(entry: dict[str, Any]) -> dict[str, Any]:
    found = entry.get("detail")
    return found if isinstance(found, dict) else {}


# Clauses and versions


def check_clauses(path: Path) -> set[str]:
    """The digests of all wordings."""
    known = set()
    for number, row in enumerate(read_lines(path), start=1):
        content = row.get("content")
        if digest(content) != row.get("digest"):
            name = content.get("principle") if isinstance(content, dict) else None
            raise Broken(f"clauses.jsonl, line {number}: this wording of {name} was altered.")
        known.add(str(row["digest"]))
    return known


def check_versions(path: Path, clauses: set[str], published: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """All versions; each must follow the one before it and be what the ledger says was published."""
    versions: list[dict[str, Any]] = []
    for version in read_lines(path):
        check_version(version, versions[-1] if versions else {"number": 0, "digest": None}, clauses)
        check_publication(version, published)
        versions.append(without(version, "clauses"))
    if not versions:
        raise Broken("versions.jsonl is empty.")
    subjects = {str(version["subject"]) for version in versions}
    beginning = str(versions[0]["subject"])[:-1]
    for subject in published:
        if subject not in subjects and subject.startswith(beginning) and subject[len(beginning) :].isdigit():
            raise Broken(f"The ledger says that {subject} was published, and it is not in versions.jsonl.")
    return versions


def check_version(version: dict[str, Any], last: dict[str, Any], clauses: set[str]) -> None:
    number, contained = version.get("number"), version.get("clauses")
    if number != last["number"] + 1:
        raise Broken(f"Version {last['number'] + 1} is missing: after {last['number']} comes {number}.")
    if version.get("parent") != last["digest"]:
        raise Broken(f"Version {number} does not follow version {last['number']}.")
    if not isinstance(contained, list) or digest(contained) != version.get("digest"):
        raise Broken(f"Version {number} was altered: its digest does not match its clauses.")
    absent = [found for found in contained if str(found) not in clauses]
    if absent:
        raise Broken(f"A clause of version {number} is missing: {absent[0]}.")


def check_publication(version: dict[str, Any], published: dict[str, dict[str, Any]]) -> None:
    entry = published.get(str(version.get("subject")))
    if entry is None:
        raise Broken(f"The ledger does not know of the publication of version {version['number']}.")
    said = detail(entry)
    for name in ("digest", "parent", "summary", "title", "published_at"):
        if name in said and said[name] != version.get(name):
            raise Broken(f"Version {version['number']} was altered: entry {entry['number']} says another {name}.")


# The head and its signature


def check_head(head: dict[str, Any], last: dict[str, Any], links: list[Link]) -> None:
    version, ledger = head.get("version"), head.get("ledger")
    if version != {"number": last["number"], "digest": last["digest"]}:
        raise Broken(f"head.json names another newest version than version {last['number']} of versions.jsonl.")
    end = {"number": len(links), "digest": links[-1].digest if links else GENESIS}
    if ledger != end:
        raise Broken(f"The ledger's end was cut off or altered: head.json names another last entry than {len(links)}.")


def check_signatures(
    head: dict[str, Any], versions: list[dict[str, Any]], published: dict[str, dict[str, Any]], key: bytes | None
) -> str:
    """A sentence on the signatures that hold, or on their absence; raises Broken where one does not hold."""
    for version in versions:
        signature = detail(published[version["subject"]]).get("signature")
        if signature is not None:
            statement = {name: version[name] for name in ("number", "digest")}
            statement["constitution"] = head.get("constitution")
            check_signature(f"The publication of version {version['number']}", statement, signature, None)
    if head.get("signature") is not None:
        named = check_signature("head.json", without(head, "signature"), head["signature"], key)
        whose = "the key that you gave" if key else f"the key {named}; ask the publisher whether it is theirs"
        return f"head.json is signed with {whose}."
    if key:
        raise Broken("head.json is not signed.")
    return "head.json is not signed."


def check_signature(what: str, statement: dict[str, Any], signature: Any, key: bytes | None) -> str:
    """The key that signed, as hexadecimal digits; raises Broken where the signature does not hold or is another's."""
    try:
        named, signed = bytes.fromhex(signature["key"]), bytes.fromhex(signature["signature"])
    except (KeyError, TypeError, ValueError) as error:
        raise Broken(f"{what}: the signature cannot be read.") from error
    if key and named != key:
        raise Broken(f"{what} is signed with another key: {named.hex()}.")
    if not is_signed(named, canonical(statement), signed):
        raise Broken(f"{what} was altered: its signature does not match what it says.")
    return named.hex()


def read_key(given: str) -> bytes:
    """A public key of 32 bytes, from hexadecimal digits or the path of a PEM file."""
    try:
        key = bytes.fromhex(given)
    except ValueError:
        try:
            lines = Path(given).read_text(encoding="ascii").split("\n")
            key = base64.b64decode("".join(line for line in lines if "-----" not in line))[-32:]
        except (OSError, ValueError) as error:
            raise Broken(f"{given} is no public key: {error}") from error
    if len(key) != 32:
        raise Broken(f"{given} is no Ed25519 public key of 32 bytes.")
    return key


# Ed25519 (RFC 8032, section 5.1): checking needs no secret, so plain arithmetic is enough.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # of -1


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is that of `message` under the public `key` (32 bytes)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public, r = decode(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if public is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return is_same(times(s, BASE), add(r, times(h, public)))


def decode(data: bytes) -> tuple[int, int, int, int] | None:
    """The point that 32 bytes stand for; None where they stand for none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    squared = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(squared, (P + 3) // 8, P)
    if x * x % P != squared:
        x = x * ROOT % P
    if x * x % P != squared or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def add(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor: int, point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = add(result, point)
        point, factor = add(point, point), factor >> 1
    return result


def is_same(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = decode(BASE_Y.to_bytes(32, "little")) or (0, 1, 1, 0)


# The whole


def check(folder: Path, head_digest: str | None, key: bytes | None) -> list[str]:
    """Sentences on what holds; raises Broken with the first thing that does not."""
    links, published = check_ledger(folder / "ledger.jsonl")
    clauses = check_clauses(folder / "clauses.jsonl")
    versions = check_versions(folder / "versions.jsonl", clauses, published)
    head = read_object((folder / "head.json").read_text(encoding="utf-8"), "head.json")
    check_head(head, versions[-1], links)
    signed = check_signatures(head, versions, published, key)
    seen = {link.digest for link in links} | {str(detail(entry).get("digest")) for entry in published.values()}
    if head_digest and head_digest.lower() not in seen:
        raise Broken(f"{head_digest} is not in this ledger: its end was cut off, or it was written anew.")
    return [
        f"{len(links)} ledger entries, each following the one before it; the last is {links[-1].digest}.",
        f"{len(versions)} versions of {len(clauses)} wordings, as the ledger says they were published.",
        signed,
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--head", metavar="DIGEST", help="a digest seen before, which must be in the ledger")
    parser.add_argument("--key", help="the publisher's public key: hexadecimal digits, or a PEM file")
    given = parser.parse_args()
    try:
        held = check(given.folder, given.head, read_key(given.key) if given.key else None)
    except Broken as broken:
        print(f"DOES NOT HOLD: {broken}")
        return 1
    except (OSError, UnicodeDecodeError) as error:
        print(f"DOES NOT HOLD: {error}")
        return 1
    print("\n".join(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
