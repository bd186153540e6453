"""The form of a backup: a zip with `manifest.json`, `manifest.sig` and the files `0`, `1`, ...

1. `manifest.sig` is Ed25519 over `DOMAIN` and the octets of `manifest.json`; the public key is in the manifest, and who restores
   says by its fingerprint whose backups he takes.
2. The manifest names every file with its size and SHA-256; names in the zip mean nothing, and nothing else in it is read.
3. Secrets are sealed one by one with AES-256-GCM, under a key that scrypt makes of the passphrase; their place is authenticated.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance.errors import BackupError
from appliance.host.upkeep.identity import fingerprint, verified

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
DOMAIN = b"sekisho backup\n"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MAX_MANIFEST, MAX_FILES, MAX_SECRET = 1 << 20, 500, 64 << 10
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}")  # of a file in the state directory
KINDS = ("config", "state", "named")  # the configuration; a file of the state directory; a file that the configuration names
PIECE = 1 << 20
_N, _R, _P = 1 << 15, 8, 1  # scrypt: 32 MiB, a tenth of a second
_BROKEN = (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error)  # of a zip
Json = dict[str, Any]


class Sink(Protocol):
    """Whatever bytes are written to."""

    def write(self, piece: bytes, /) -> object:
        """Take a piece."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: `where` is a name in the state directory, or a whole path; sizes and hashes are of what is in the zip."""

    kind: str
    where: str
    size: int
    sha256: str
    mode: int
    owner: str
    group: str
    sealed: bool


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals and opens secrets under one passphrase."""

    key: bytes

    @classmethod
    def of(cls, passphrase: bytes, salt: bytes, n: int = _N, r: int = _R, p: int = _P) -> Seal:
        """Slow on purpose. Raises ValueError."""
        return cls(Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase))

    def close(self, plain: bytes, where: str) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, plain, where.encode())

    def open(self, sealed: bytes, where: str) -> bytes:
        """What was sealed there. Raises BackupError."""
        try:
            return AESGCM(self.key).decrypt(sealed[:12], sealed[12:], where.encode())
        except (InvalidTag, ValueError) as error:
            raise BackupError("the passphrase is not the one the backup was made with; try again") from error


def seal_words(salt: bytes) -> Json:
    """What the manifest says of the sealing."""
    return {"kdf": "scrypt", "n": _N, "r": _R, "p": _P, "salt": salt.hex()}


class Opened:
    """A backup whose signature and form were checked. `read` checks each file as it is read."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises BackupError."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            raw = self._small(MANIFEST, MAX_MANIFEST)
            signature = self._small(SIGNATURE, 64)
        except FileNotFoundError as error:
            raise BackupError(f"{path}: no such file; check the path") from error
        except (OSError, *_BROKEN) as error:
            raise BackupError(f"{path}: no backup, or cut short; take another copy of it") from error
        self.manifest = _manifest(path, raw, signature)
        self.signer = fingerprint_of(self.manifest)
        self.entries = [_entry(path, item) for item in _list(path, self.manifest.get("files"))]

    def _small(self, name: str, most: int) -> bytes:
        with self._zip.open(name) as file:
            held = file.read(most + 1)
        if len(held) > most:
            raise zipfile.BadZipFile(name)
        return held

    def copy(self, number: int, to: Sink) -> None:
        """Write one file, as it is in the zip. Raises BackupError where it is not what was signed, OSError of `to`."""
        entry, digest, size = self.entries[number], hashlib.sha256(), 0
        try:
            with self._zip.open(str(number)) as file:
                while piece := file.read(PIECE):
                    size += len(piece)
                    if size > entry.size:
                        break
                    digest.update(piece)
                    to.write(piece)
        except _BROKEN as error:
            raise BackupError(f"{self.path}: {entry.where}: damaged; take another copy of the backup") from error
        if size != entry.size or digest.hexdigest() != entry.sha256:
            raise BackupError(f"{self.path}: {entry.where}: not what was signed; take another copy of the backup")

    def seal(self, passphrase: bytes) -> Seal:
        """What opens its secrets. Raises BackupError."""
        said = self.manifest.get("seal")
        if not isinstance(said, dict) or said.get("kdf") != "scrypt":
            raise _odd(self.path)
        n, r, p, salt = (said.get(key) for key in ("n", "r", "p", "salt"))
        if not (isinstance(n, int) and isinstance(r, int) and isinstance(p, int) and isinstance(salt, str)):
            raise _odd(self.path)
        if not (2 <= n <= 1 << 18 and 1 <= r <= 16 and 1 <= p <= 4):
            raise _odd(self.path)
        try:
            return Seal.of(passphrase, bytes.fromhex(salt), n, r, p)
        except ValueError as error:
            raise _odd(self.path) from error

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def _manifest(path: Path, raw: bytes, signature: bytes) -> Json:
    try:
        manifest = json.loads(raw)
        public = bytes.fromhex(manifest["key"])
        form = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _odd(path) from error
    if isinstance(form, int) and form > FORMAT:  # before the signature: a later one may be signed in another way
        raise BackupError(
            f"{path}: of a later format ({form}; this program reads {FORMAT}); install the sekisho that made it, or later"
        )
    if form != FORMAT or verified(public, signature, DOMAIN + raw) is None:
        raise BackupError(f"{path}: its signature does not fit; it was changed or damaged, take another copy of it")
    return dict(manifest)


def fingerprint_of(manifest: Json) -> str:
    """Who signed, as people compare it."""
    return fingerprint(Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest["key"])))


def _list(path: Path, files: object) -> list[Any]:
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise _odd(path)
    return files


def _entry(path: Path, item: object) -> Entry:
    try:
        entry = Entry(**item)  # type: ignore[arg-type]  # checked below
    except TypeError as error:
        raise _odd(path) from error
    texts = (entry.kind, entry.where, entry.sha256, entry.owner, entry.group)
    if not all(type(text) is str and len(text) < 4096 and "\0" not in text for text in texts) or type(entry.sealed) is not bool:
        raise _odd(path)
    if entry.kind not in KINDS or not all(type(number) is int and number >= 0 for number in (entry.size, entry.mode)):
        raise _odd(path)
    named = NAME.fullmatch(entry.where) if entry.kind == "state" else entry.where.startswith("/")
    if not named or (entry.sealed and entry.size > MAX_SECRET + 64):
        raise _odd(path)
    return entry


def _odd(path: Path) -> BackupError:
    return BackupError(f"{path}: its manifest has another form; it is no backup of sekisho, or of another version")
