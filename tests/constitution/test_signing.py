"""The optional key: what it signs, what it refuses, and that the plain arithmetic of verify.py agrees with it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from constitution.exporting import verify
from constitution.signing import BadKey, head_statement, is_signed, sign

STATEMENT = head_statement(slug="home", number=2, digest="a" * 64)
# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def make_pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_sign_without_a_key_signs_nothing(settings: Settings) -> None:
    settings.SIGNING_KEY = ""
    assert sign(STATEMENT) is None


def test_sign_with_a_key_can_be_checked_and_covers_every_field(settings: Settings) -> None:
    settings.SIGNING_KEY = make_pem(Ed25519PrivateKey.generate())
    signature = sign(STATEMENT)
    assert signature is not None
    assert is_signed(STATEMENT, signature)
    assert not is_signed({**STATEMENT, "number": 3}, signature)
    assert not is_signed(STATEMENT, {**signature, "key": "00" * 32})


def test_sign_reads_a_key_from_a_file(settings: Settings, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_text(make_pem(key))
    settings.SIGNING_KEY = str(tmp_path / "key.pem")
    signature = sign(STATEMENT)
    assert signature is not None
    assert signature["key"] == key.public_key().public_bytes_raw().hex()


@pytest.mark.parametrize(
    "setting", ["/nowhere/key.pem", "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"]
)
def test_sign_refuses_what_is_no_key_and_does_not_repeat_it(settings: Settings, setting: str) -> None:
    settings.SIGNING_KEY = setting
    with pytest.raises(BadKey, match="neither an unencrypted private key") as refused:
        sign(STATEMENT)
    assert setting not in str(refused.value)


def test_sign_refuses_a_key_of_another_kind(settings: Settings) -> None:
    key = generate_private_key(SECP256R1())
    settings.SIGNING_KEY = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(BadKey, match="not an Ed25519 key"):
        sign(STATEMENT)


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_verifier_accepts_the_vectors_of_the_standard(key: str, message: str, signature: str) -> None:
    assert verify.is_signed(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


@hypothesis_settings(max_examples=20)
@given(message=st.binary(max_size=200), place=st.integers(0, 63), bit=st.integers(0, 7))
def test_verifier_agrees_with_the_library_on_right_and_wrong_signatures(message: bytes, place: int, bit: int) -> None:
    secret = Ed25519PrivateKey.generate()
    key, signature = secret.public_key().public_bytes_raw(), secret.sign(message)
    assert verify.is_signed(key, message, signature)
    assert not verify.is_signed(key, message + b".", signature)
    broken = bytearray(signature)
    broken[place] ^= 1 << bit
    assert not verify.is_signed(key, message, bytes(broken))


def test_verifier_refuses_points_and_numbers_out_of_range() -> None:
    key, signature = bytes.fromhex(RFC_8032[0][0]), bytes.fromhex(RFC_8032[0][2])
    s = int.from_bytes(signature[32:], "little") + verify.ORDER
    assert not verify.is_signed(key, b"", signature[:32] + s.to_bytes(32, "little"))
    assert not verify.is_signed(b"\xff" * 32, b"", signature)
    assert not verify.is_signed(b"\x02" + b"\x00" * 31, b"", signature)
    assert not verify.is_signed(key[:-1], b"", signature)


def test_verifier_reads_a_public_key_from_digits_and_from_pem(tmp_path: Path) -> None:
    public = Ed25519PrivateKey.generate().public_key()
    raw = public.public_bytes_raw()
    (tmp_path / "public.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert verify.read_key(raw.hex()) == verify.read_key(str(tmp_path / "public.pem")) == raw
    with pytest.raises(verify.Broken, match="no Ed25519 public key"):
        verify.read_key("abcd")
