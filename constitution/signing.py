"""An optional key that signs what is published: Ed25519 (RFC 8032) over the canonical form of a statement.

`SIGNING_KEY` is the private key in PEM, or the path of a file that holds it; without it nothing is signed. A signature
shows that the statement was made where the key is, and nothing more: whoever holds both database and key can sign anew.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings

from constitution.digests import canonical
from constitution.errors import Refused


class BadKey(Refused):
    """The signing key cannot be used; the sentence is for the operator."""

    status = 500


class Signature(TypedDict):
    """Both as hexadecimal digits: the public key (32 bytes) and the signature (64 bytes)."""

    key: str
    signature: str


def head_statement(*, slug: str, number: int, digest: str) -> dict[str, Any]:
    """What is signed when version `number` of a constitution becomes its head."""
    return {"constitution": slug, "number": number, "digest": digest}


def sign(statement: Mapping[str, Any]) -> Signature | None:
    """The signature of `statement` with the configured key; None where there is no key. Raises BadKey."""
    if not settings.SIGNING_KEY:
        return None
    key = _read(settings.SIGNING_KEY)
    return {
        "key": key.public_key().public_bytes_raw().hex(),
        "signature": key.sign(canonical(dict(statement))).hex(),
    }


def is_signed(statement: Mapping[str, Any], signature: Signature) -> bool:
    """Whether `signature` is that of `statement` under the key that it names."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["key"]))
        key.verify(bytes.fromhex(signature["signature"]), canonical(dict(statement)))
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=1)
def _read(setting: str) -> Ed25519PrivateKey:
    try:
        pem = setting if setting.lstrip().startswith("-----BEGIN") else Path(setting).read_text(encoding="ascii")
        key = load_pem_private_key(pem.encode(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Never the text of the setting: it may be the key itself.
        raise BadKey("SIGNING_KEY is neither an unencrypted private key in PEM nor the path of one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey("SIGNING_KEY is not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
    return key
