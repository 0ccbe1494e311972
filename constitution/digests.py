"""Digests: one canonical form of a value, and its SHA-256."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """The one JSON form of `value`: sorted keys, no spaces, UTF-8. Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
