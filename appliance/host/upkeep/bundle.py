"""The form of an update bundle: a folder with `manifest.json`, `manifest.sig` and Debian packages.

1. Manifest and signature are copied to a folder of ours, with every package that the manifest names; all checks look at the
   copies only, so that a medium which changes between two looks wins nothing.
2. `manifest.sig` is Ed25519 (RFC 8032) over `DOMAIN` and the octets of `manifest.json`, by a key that this box trusts. Nothing in
   the manifest is looked at before.
3. The folder holds what the manifest names and nothing else; every file is a plain one, of the size and SHA-256 named there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import UpdateError
from appliance.host.upkeep.update_keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FORMAT = 1
DOMAIN = b"sekisho update bundle\n"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
PACKAGE = "sekisho"
MAX_FILES, MAX_SIZE, MAX_MANIFEST = 100, 1 << 30, 128 << 10  # files, octets of all of them, octets
RESERVE = 64 << 20  # octets that stay free on the disk
_SIGNATURE = 64  # octets
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~%_-]{0,200}\.deb")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,100}")  # a version, an architecture (Debian Policy 5.6.12, 5.6.8)
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """One file: name, size in octets, SHA-256 in hexadecimal digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was checked: where the copies are, who signed, what it says of itself."""

    folder: Path
    key: Key
    version: str
    arch: str
    made: str
    files: tuple[Listed, ...]

    @property
    def size(self) -> int:
        """Octets of all packages."""
        return sum(file.size for file in self.files)


def stage(source: Path, into: Path, keys: Sequence[Key]) -> Bundle:
    """Copy a bundle into the empty folder `into` (of mode 700) and check it there. Raises UpdateError."""
    with _opened(source) as folder:
        names = _names(source, folder)
        for name, most in ((MANIFEST, MAX_MANIFEST), (SIGNATURE, _SIGNATURE)):
            if name not in names:
                raise UpdateError(f"{source}: no {name} in it, so it is no update bundle; name the folder of the bundle")
            _copy(source, folder, into, Listed(name, most, ""))
        raw, signature = (into / MANIFEST).read_bytes(), (into / SIGNATURE).read_bytes()
        signer = next((key for key in keys if key.signed(signature, DOMAIN + raw)), None)
        if signer is None:
            raise UpdateError(
                f"{source}: signed by none of the keys that this box trusts ({', '.join(key.name for key in keys)}), or changed "
                "since; take another copy of it, or see docs/update.md on keys"
            )
        bundle = _bundle(source, into, signer, raw)
        _complete(source, names, bundle)
        _room(into, bundle.size)
        for listed in bundle.files:
            _copy(source, folder, into, listed)
    return bundle


def manifest(made: str, version: str, arch: str, files: Sequence[Listed]) -> bytes:
    """The octets that are signed, after DOMAIN."""
    rows = [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in files]
    said = {"format": FORMAT, "package": PACKAGE, "made": made, "version": version, "arch": arch, "files": rows}
    return (json.dumps(said, indent=1) + "\n").encode()


@contextmanager
def _opened(source: Path) -> Iterator[int]:
    try:
        number = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise UpdateError(f"{source}: no folder; unpack the bundle, then name its folder") from error
    except OSError as error:
        raise UpdateError(f"{source}: cannot be read ({error.strerror}); check path and medium") from error
    try:
        yield number
    finally:
        os.close(number)


def _names(source: Path, folder: int) -> set[str]:
    found: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.add(entry.name)
                if len(found) > MAX_FILES + 2:
                    raise UpdateError(
                        f"{source}: more than {MAX_FILES} packages; name the folder of the bundle, nothing else in it"
                    )
    except OSError as error:
        raise UpdateError(f"{source}: cannot be read ({error.strerror}); check the medium") from error
    return found


def _bundle(source: Path, into: Path, signer: Key, raw: bytes) -> Bundle:
    """What a signed manifest says. Raises UpdateError."""
    try:
        said: Any = json.loads(raw)
        form = said["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _odd(source) from error
    if type(form) is int and form > FORMAT:
        raise UpdateError(f"{source}: of a later format ({form}; this version reads {FORMAT}); install a version between first")
    version, arch, made = words = [said.get(key) for key in ("version", "arch", "made")]
    files = said.get("files")
    if form != FORMAT or said.get("package") != PACKAGE or not all(type(word) is str for word in words):
        raise _odd(source)
    if not all(_WORD.fullmatch(word) for word in words) or not isinstance(files, list) or not 0 < len(files) <= MAX_FILES:
        raise _odd(source)
    listed = tuple(_listed(source, item) for item in files)
    if len({file.name for file in listed}) != len(listed) or sum(file.size for file in listed) > MAX_SIZE:
        raise _odd(source)
    return Bundle(into, signer, version, arch, made, listed)


def _listed(source: Path, item: object) -> Listed:
    if not isinstance(item, dict) or set(item) != {"name", "size", "sha256"}:
        raise _odd(source)
    name, size, sha256 = item["name"], item["size"], item["sha256"]
    if type(name) is not str or type(size) is not int or type(sha256) is not str:
        raise _odd(source)
    if not _NAME.fullmatch(name) or not 0 < size <= MAX_SIZE or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise _odd(source)
    return Listed(name, size, sha256)


def _complete(source: Path, names: set[str], bundle: Bundle) -> None:
    wanted = {file.name for file in bundle.files} | {MANIFEST, SIGNATURE}
    if missing := sorted(wanted - names):
        raise UpdateError(f"{source}: {missing[0]} is missing; take another copy of the bundle")
    if foreign := sorted(names - wanted):
        raise UpdateError(
            f"{source}: {foreign[0]!r} does not belong to the bundle; take another copy, nothing else in its folder"
        )


def _room(into: Path, size: int) -> None:
    free = shutil.disk_usage(into).free
    if free < size + RESERVE:
        raise UpdateError(
            f"{into.parent}: {free >> 20} MiB are free, {(size + RESERVE >> 20) + 1} are needed for the copy; make room there"
        )


def _copy(source: Path, folder: int, into: Path, listed: Listed) -> None:
    """Copy one file; `sha256` "" only limits its size. Raises UpdateError where it is not what is named."""
    name, size, digest = listed.name, 0, hashlib.sha256()
    try:
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(number, "rb", buffering=0) as taken:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise UpdateError(f"{source}: {name} is no plain file; take another copy of the bundle")
            with (into / name).open("xb") as to:
                while piece := taken.read(_PIECE):
                    size += len(piece)
                    if size > listed.size:
                        break
                    digest.update(piece)
                    to.write(piece)
                to.flush()
                os.fsync(to.fileno())
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UpdateError(
                f"{source}: {name} is a symbolic link; a bundle holds plain files only, take another copy"
            ) from error
        raise UpdateError(f"{source}: {name} cannot be copied ({error.strerror}); check medium and free disk") from error
    if size > listed.size or (listed.sha256 and (size != listed.size or digest.hexdigest() != listed.sha256)):
        raise UpdateError(f"{source}: {name} is not what was signed (cut short, or changed); take another copy of the bundle")


def _odd(source: Path) -> UpdateError:
    return UpdateError(f"{source}: its manifest has another form; it is no update bundle of sekisho")
