"""Whose updates this box takes: a folder of public keys that only root writes, a file each, `NAME.pub`.

A key file is one line, as people carry it: `ed25519 BASE64 NAME` (32 octets in base64). The package ships none.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.errors import UpdateError
from appliance.host.upkeep.identity import fingerprint

FOLDER = Path("/etc/sekisho/update-keys")
MAX_KEYS, MAX_FILE = 32, 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SIZE = 32  # octets (RFC 8032, 5.1.5)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and what people call it."""

    name: str
    raw: bytes

    @property
    def fingerprint(self) -> str:
        """What people compare."""
        return fingerprint(Ed25519PublicKey.from_public_bytes(self.raw))

    def line(self) -> str:
        """As it stands in a file."""
        return f"ed25519 {base64.b64encode(self.raw).decode()} {self.name}\n"

    def signed(self, signature: bytes, octets: bytes) -> bool:
        """Whether it made the signature over the octets."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, octets)
        except InvalidSignature:
            return False
        return True


def read_key(path: Path) -> Key:
    """The key of a file. Raises UpdateError."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UpdateError(f"{path}: no file; name the file of the key")
            words = file.read(MAX_FILE + 1).decode("ascii").split()
    except UnicodeDecodeError as error:
        raise _odd(path) from error
    except OSError as error:
        raise UpdateError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if len(words) != 3 or words[0] != "ed25519" or not _NAME.fullmatch(words[2]):
        raise _odd(path)
    try:
        raw = base64.b64decode(words[1], validate=True)
        Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError) as error:
        raise _odd(path) from error
    return Key(words[2], raw)


def trusted(folder: Path) -> list[Key]:
    """The keys of the folder, by name; others than root (or who asks) must not be able to write there. Raises UpdateError."""
    try:
        paths = sorted(folder.glob("*.pub")) if _only_ours(folder) else []
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise UpdateError(f"{folder}: cannot be read ({error.strerror}); check its owner and mode") from error
    if not paths:
        raise UpdateError(f"{folder}: no key is trusted yet; do first: sekisho update trust KEYFILE --by YOU")
    if len(paths) > MAX_KEYS:
        raise UpdateError(f"{folder}: more than {MAX_KEYS} keys; remove those that are not used")
    for path in paths:
        try:
            _only_ours(path)
        except OSError as error:
            raise UpdateError(f"{path}: cannot be read ({error.strerror}); remove it") from error
    return [read_key(path) for path in paths]


def trust(key: Key, folder: Path) -> Path:
    """Write a key into the folder; its file. Raises UpdateError where another key has that name."""
    path = folder / f"{key.name}.pub"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _only_ours(folder)
        if path.is_symlink() or path.exists():
            if read_key(path).raw == key.raw:
                return path
            raise UpdateError(f"{path}: another key has that name; remove that file first if it is not to be trusted any more")
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(number, "wb") as file:
            file.write(key.line().encode())
            file.flush()
            os.fsync(number)
    except OSError as error:
        raise UpdateError(f"{path}: cannot be written ({error.strerror}); run it as root") from error
    return path


def _only_ours(path: Path) -> bool:
    """True where nobody but root, or who asks, may write it. Raises UpdateError, OSError."""
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode) or state.st_uid not in {0, os.geteuid()} or state.st_mode & 0o022:
        raise UpdateError(f"{path}: others than root may change it; do: chown root and chmod go-w, then look at what is in it")
    return True


def _odd(path: Path) -> UpdateError:
    return UpdateError(f"{path}: no key for updates; one line is expected: ed25519 BASE64 NAME")
