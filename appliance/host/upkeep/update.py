"""`sekisho update`: from a checked bundle to an installed package, with a backup before and a way back.

1. The bundle is copied to `updates/incoming`, where only root reads and writes, and checked there (bundle.py).
2. Its packages are for this box, and newer than what is installed; there is room.
3. A backup is made; what is about to happen is written to the log.
4. apt-get installs from the copies, without any source. The copies stay as `updates/installed`, those before as
   `updates/previous`.

This program is replaced while it runs: nothing may be imported after step 3.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config.sample import DIRECTORY
from appliance.errors import UpdateError
from appliance.host.config_file import read_config
from appliance.host.upkeep import dpkg
from appliance.host.upkeep.backup import Made, backup
from appliance.host.upkeep.bundle import MANIFEST, MAX_MANIFEST, PACKAGE, RESERVE, Bundle, stage
from appliance.host.upkeep.dpkg import Package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.host.upkeep.update_keys import Key

FOLDER, LOG, APT_LOG = "updates", "log.jsonl", "apt.log"
KEPT_BACKUPS = 3
_PROGRAM = Path("/usr")  # where packages go


@dataclass(frozen=True, slots=True)
class Offer:
    """A bundle that fits this box: what is installed now ("" for nothing), what would be, which packages need not be."""

    bundle: Bundle
    before: str
    install: tuple[Package, ...]
    present: tuple[Package, ...]

    @property
    def older(self) -> bool:
        """Whether it goes back."""
        return bool(self.before) and dpkg.newer(self.before, self.bundle.version)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for: who, whether an older version is meant, whether a backup is made."""

    by: str
    downgrade: bool
    backup: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What happened. `back`: a folder that leads back, if the version before is kept; `runs`: whether it ran before, and now."""

    offer: Offer
    backup: Made | None
    back: Path | None
    runs: tuple[bool, bool]
    folder: Path


def state(config_path: str) -> tuple[Path, bool]:
    """The state directory, and whether there is a configuration yet. Raises UsageError."""
    if not Path(config_path).exists():
        return Path(DIRECTORY), False
    return Path(read_config(config_path)[0].directory), True


def judge(bundle: Bundle, *, downgrade: bool) -> Offer:
    """Whether the packages of a bundle are for this box. Raises UpdateError."""
    here = dpkg.architecture()
    if bundle.arch != here:
        raise UpdateError(f"the bundle is for {bundle.arch}, this box is {here}; take the bundle for {here}")
    packages = [dpkg.package(bundle.folder / file.name) for file in bundle.files]
    for one in packages:
        if one.arch not in {here, "all"}:
            raise UpdateError(f"{one.path.name}: it is for {one.arch}, this box is {here}; take another bundle")
    ours = [one for one in packages if one.name == PACKAGE]
    if len(ours) != 1 or ours[0].version != bundle.version:
        raise UpdateError(f"the bundle does not hold the {PACKAGE} {bundle.version} it says; have it made anew")
    before, whole = dpkg.installed(PACKAGE)
    if before == bundle.version and whole:
        raise UpdateError(f"{PACKAGE} {before} is installed already; nothing is to be done")
    if before and dpkg.newer(before, bundle.version) and not downgrade:
        raise UpdateError(
            f"the bundle brings {bundle.version}, {before} is installed and newer; say --allow-downgrade if you mean it"
        )
    present = tuple(one for one in packages if one.name != PACKAGE and _is_there(one))
    return Offer(bundle, before, tuple(one for one in packages if one not in present), present)


def _is_there(one: Package) -> bool:
    version, whole = dpkg.installed(one.name)
    return bool(version) and whole and not dpkg.newer(one.version, version)


def install(source: Path, config_path: str, keys: Sequence[Key], asked: Asked, now: float) -> Done:
    """Check, back up, install. Raises SekishoError; it says what is installed then."""
    directory, configured = state(config_path)
    with workshop(directory) as (folder, lock):
        incoming = folder / "incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(mode=0o700)
        try:
            offer = judge(stage(source, incoming, keys), downgrade=asked.downgrade)
            _room(_PROGRAM, sum(one.installed_size for one in offer.install), "for the new version")
            made = None
            if asked.backup and configured:
                _room(folder, _octets(directory), "for the backup")
                made = backup(config_path, folder / f"before-{offer.bundle.version}.backup", None, now, replace=True)
                _prune(folder)
            return _install(folder, lock, offer, made, asked, now)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)


def _install(folder: Path, lock: int, offer: Offer, made: Made | None, asked: Asked, now: float) -> Done:
    bundle = offer.bundle
    ran = dpkg.running()
    row: dict[str, object] = {
        "time": round(now, 3),
        "by": asked.by,
        "what": "begins",
        "from": offer.before,
        "to": bundle.version,
        "key": bundle.key.name,
        "fingerprint": bundle.key.fingerprint,
        "made": bundle.made,
        "files": {file.name: file.sha256 for file in bundle.files},
        "backup": str(made.path) if made is not None else None,
    }
    log(folder, row)
    with _undisturbed():
        why = dpkg.install([one.path for one in offer.install], folder / APT_LOG, lock, downgrade=asked.downgrade)
        after, whole = dpkg.installed(PACKAGE)
        if why or after != bundle.version or not whole:
            log(folder, row | {"what": "failed", "why": why, "installed": after})
            now_there = (
                f"{PACKAGE} {after} is installed{'' if whole else ', not wholly'}" if after else f"{PACKAGE} is not installed"
            )
            raise UpdateError(
                f"not updated: {why or 'apt-get did something else'}; {now_there}; see {folder / APT_LOG} and docs/update.md"
            )
        try:
            back = _keep(folder, offer.before)
            log(folder, row | {"what": "installed"})
        except (OSError, UpdateError) as error:
            raise UpdateError(f"{PACKAGE} {after} is installed, but its copy or the log could not be kept: {error}") from error
    return Done(offer, made, back, (ran, dpkg.running()), folder)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and a terminal that goes away wait until the package is in place and the log says so."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _keep(folder: Path, before: str) -> Path | None:
    """The copies that were installed stay, and those before them. Where the version before is not kept: None."""
    installed, previous = folder / "installed", folder / "previous"
    kept = _version(installed)
    shutil.rmtree(previous, ignore_errors=True)
    if kept and kept == before:
        installed.rename(previous)
    else:
        shutil.rmtree(installed, ignore_errors=True)
    (folder / "incoming").rename(installed)
    return previous if kept and kept == before else None


def _version(folder: Path) -> str:
    try:
        with (folder / MANIFEST).open("rb") as file:
            return str(json.loads(file.read(MAX_MANIFEST))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _prune(folder: Path) -> None:
    backups = sorted(folder.glob("before-*.backup"), key=lambda path: path.stat().st_mtime)
    for path in backups[:-KEPT_BACKUPS]:
        path.unlink()


def _octets(directory: Path) -> int:
    found = 0
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # a database's log, just now
            found += path.stat().st_size
    return found


def _room(where: Path, octets: int, what: str) -> None:
    free = shutil.disk_usage(where).free
    if free < octets + RESERVE:
        raise UpdateError(
            f"{where}: {free >> 20} MiB are free, {(octets + RESERVE >> 20) + 1} are needed {what}; make room there"
        )


@contextmanager
def workshop(directory: Path) -> Iterator[tuple[Path, int]]:
    """The folder of updates, that only root writes, and the open file that locks it for one at a time. Raises UpdateError.

    The state directory may be written by the appliance's unprivileged processes: one that was taken over must not prepare it.
    """
    folder = directory / FOLDER
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise UpdateError(f"{folder}: others than root may change it; look at what is in it, remove it, then try again")
        number = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UpdateError(f"{folder}: cannot be written ({error.strerror}); check disk and owner") from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpdateError("another update runs; wait for its end") from error
        yield folder, number
    finally:
        os.close(number)


def log(folder: Path, row: dict[str, object]) -> None:
    """One line of JSON, on the disk when this returns. Raises UpdateError."""
    path = folder / LOG
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "ab") as file:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            file.flush()
            os.fsync(number)
    except OSError as error:
        raise UpdateError(f"{path}: cannot be written ({error.strerror}); make room, then try again") from error
