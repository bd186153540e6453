"""The site's key: an Ed25519 key of this gateway, made at first use, that signs what leaves it as a whole (backups)."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.errors import BackupError

if TYPE_CHECKING:
    from pathlib import Path

KEY = "site.key"  # in the state directory: 32 octets, mode 600
_SIZE = 32


def site_key(directory: Path) -> Ed25519PrivateKey:
    """The key of the state directory; made there where there is none. Raises BackupError."""
    path = directory / KEY
    try:
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return _key(path)
        with os.fdopen(number, "wb") as file:
            key = Ed25519PrivateKey.generate()
            file.write(key.private_bytes_raw())
            file.flush()
            os.fsync(file.fileno())
        return key
    except OSError as error:
        raise BackupError(f"{path}: cannot be made or read ({error.strerror}); run it as root, check disk and owner") from error


def known_signer(directory: Path) -> str:
    """The fingerprint of the key that is there, "" where there is none. Raises BackupError."""
    path = directory / KEY
    try:
        return fingerprint(_key(path).public_key()) if path.exists() else ""
    except OSError as error:
        raise BackupError(f"{path}: cannot be read ({error.strerror}); run it as root") from error


def _key(path: Path) -> Ed25519PrivateKey:
    raw = path.read_bytes()
    if len(raw) != _SIZE:
        raise BackupError(f"{path}: no key of ours; restore it, or remove it, then a new one is made")
    return Ed25519PrivateKey.from_private_bytes(raw)


def fingerprint(key: Ed25519PublicKey) -> str:
    """What people compare: the first 128 bits of SHA-256 over the public key, in groups of four digits."""
    digits = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]
    return "-".join(digits[at : at + 4] for at in range(0, 32, 4))


def verified(public: bytes, signature: bytes, signed: bytes) -> Ed25519PublicKey | None:
    """The key, where it made the signature; None where it did not, or is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature, signed)
    except (ValueError, InvalidSignature):
        return None
    return key
