"""`sekisho restore`: a backup onto this box, whole or not at all.

1. The signature fits, and whoever restores named the signer, or it is this box's own.
2. Every file is written beside its place, synced, and compared with what was signed; databases and baseline are of versions that
   this program reads.
3. Only then are they put in place, one after the other; what was there is kept as `NAME.before-restore`. What fails puts it back.

The number of the sensor's runs jumps ahead, so that ids of incidents which came after the backup never come again.
"""

from __future__ import annotations

import contextlib
import grp
import io
import os
import pwd
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config import Config, parse_config
from appliance.errors import BackupError, SekishoError
from appliance.host.baselines import load_baseline
from appliance.host.control import ENFORCER, KEEPER, is_answering
from appliance.host.keeper import store_file
from appliance.host.reporter import outbox
from appliance.host.sensor.feed import RUN
from appliance.host.upkeep.backup import named_files
from appliance.host.upkeep.backup_format import Entry
from appliance.host.upkeep.identity import known_signer
from appliance.host.writing import sync_folder

if TYPE_CHECKING:
    from appliance.host.upkeep.backup_format import Opened, Seal

AHEAD = 100_000  # runs of the sensor that may have been since the backup
KEPT, NEW = ".before-restore", ".restoring"
MAX_CONFIG = 256 << 10
_VERSIONS = {"keeper.sqlite": store_file.VERSION, "reporter.sqlite": outbox.VERSION}
_OTHERS = 0  # of databases that have no version of their own


@dataclass(slots=True)
class Plan:
    """What goes where: number in the backup, its entry, its place; and what does not, in words."""

    config: Config
    places: list[tuple[int, Entry, Path]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def plan(opened: Opened, config_path: Path, seal: Seal | None) -> Plan:
    """Where the files of a backup go on this box. Raises BackupError, UsageError for a configuration that is not read."""
    number = next((n for n, entry in enumerate(opened.entries) if entry.kind == "config"), None)
    if number is None or opened.entries[number].size > MAX_CONFIG:
        raise BackupError(f"{opened.path}: there is no configuration in it; it is no whole backup")
    held = io.BytesIO()
    opened.copy(number, held)
    config = parse_config(held.getvalue().decode("utf-8", "replace"), f"{opened.path}: configuration")
    found = Plan(config)
    directory = Path(config.directory)
    may = {path for path, _ in named_files(config)}
    for n, entry in enumerate(opened.entries):
        if entry.sealed and seal is None:
            found.left_out.append(f"{entry.where}: sealed, and no passphrase was given")
        elif entry.kind == "state":
            found.places.append((n, entry, directory / entry.where))
        elif entry.kind == "config":
            found.places.append((n, entry, config_path))
        elif entry.where in may and _inside(Path(entry.where), config_path.parent, directory):
            found.places.append((n, entry, Path(entry.where)))
        else:
            found.left_out.append(f"{entry.where}: outside of {config_path.parent}; put it there by hand")
    if len({place.resolve() for _, _, place in found.places}) != len(found.places):
        raise BackupError(f"{opened.path}: two files for one place; it is no backup of sekisho")
    return found


def _inside(path: Path, *folders: Path) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def check_signer(opened: Opened, directory: Path, signer: str | None) -> None:
    """The backup is from whom it should be. Raises BackupError."""
    own = known_signer(directory)
    wanted = (signer or own).replace("-", "").replace(":", "").lower()
    if not wanted:
        raise BackupError(f"{opened.path}: say whose backup you take with --signer; `sekisho backup` told it when it was made")
    if wanted != opened.signer.replace("-", ""):
        raise BackupError(
            f"{opened.path}: signed by {opened.signer}, not by {signer or own}; take the right file, or say --signer"
        )


def restore(opened: Opened, config_path: Path, seal: Seal | None, *, replace: bool) -> Plan:
    """Put everything in place. Raises SekishoError; then everything is as it was."""
    found = plan(opened, config_path, seal)
    directory, runtime = Path(found.config.directory), Path(found.config.runtime)
    if running(runtime):
        raise BackupError("the appliance runs; stop it first: systemctl stop sekisho.target")
    there = [place for _, _, place in found.places if place.exists()]
    if there and not replace:
        raise BackupError(f"{there[0]}: it is there already; say --replace, it is kept as {there[0].name}{KEPT} then")
    staged: list[tuple[Path, Path]] = []
    try:
        for folder in {place.parent for _, _, place in found.places}:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for n, entry, place in found.places:
            staged.append((_beside(place, NEW), place))
            _stage(opened, n, entry, staged[-1][0], seal)
            _readable(entry, staged[-1][0])
        _put(staged, _leftovers(directory))
    except OSError as error:
        raise BackupError(
            f"{error.filename or directory}: cannot be written ({error.strerror}); make room, run it as root"
        ) from error
    finally:
        for new, _ in staged:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
    return found


def running(runtime: Path) -> bool:
    """Whether a keeper or an enforcer answers there: both write what would be replaced."""
    return any(is_answering(runtime / name) for name in (KEEPER.socket, ENFORCER.socket))


def _beside(place: Path, end: str) -> Path:
    return place.with_name(f"{place.name}{end}")


def _leftovers(directory: Path) -> list[Path]:
    """Logs of databases that are replaced: with another file under them they would destroy it."""
    return [path for end in ("-wal", "-shm") for path in directory.glob(f"*.sqlite{end}")]


def _stage(opened: Opened, number: int, entry: Entry, new: Path, seal: Seal | None) -> None:
    """Write one file beside its place, with mode and owner, synced."""
    new.unlink(missing_ok=True)
    made = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(made, "wb") as file:
        if entry.sealed and seal is not None:
            held = io.BytesIO()
            opened.copy(number, held)
            file.write(seal.open(held.getvalue(), entry.where))
        elif entry.where == RUN:
            held = io.BytesIO()
            opened.copy(number, held)
            text = held.getvalue()[:20].strip()
            file.write(b"%d\n" % (int(text) + AHEAD if text.isdigit() else AHEAD))
        else:
            opened.copy(number, file)
        file.flush()
        os.fchmod(made, entry.mode & 0o770 if entry.kind == "state" else entry.mode & 0o777)
        with contextlib.suppress(KeyError, PermissionError):
            os.fchown(made, pwd.getpwnam(entry.owner).pw_uid, -1)
        with contextlib.suppress(KeyError, PermissionError):
            os.fchown(made, -1, grp.getgrnam(entry.group).gr_gid)
        os.fsync(made)


def _readable(entry: Entry, new: Path) -> None:
    """What this program will read is of a version that it reads. Raises SekishoError."""
    if entry.kind != "state":
        return
    if entry.where.endswith(".sqlite"):
        with new.open("rb") as file:
            head = file.read(100)
        version = struct.unpack(">I", head[60:64])[0] if head.startswith(b"SQLite format 3\0") and len(head) == 100 else None
        if version is None:
            raise BackupError(f"{entry.where}: no database; take another backup")
        if version > _VERSIONS.get(entry.where, _OTHERS):
            raise BackupError(f"{entry.where}: a later version of sekisho wrote it; install that one, then restore")
    elif entry.where == "baseline":
        try:
            load_baseline(new)
        except SekishoError as error:
            raise BackupError(str(error).replace(str(new), "baseline")) from error


def _put(staged: list[tuple[Path, Path]], leftovers: list[Path]) -> None:
    """All in place, or all as it was. Raises OSError."""
    moved: list[tuple[Path, Path]] = []  # where it is, where it belongs
    placed: list[Path] = []
    try:
        for path in leftovers:
            path.replace(_beside(path, KEPT))
            moved.append((_beside(path, KEPT), path))
        for new, place in staged:
            if place.exists():
                place.replace(_beside(place, KEPT))
                moved.append((_beside(place, KEPT), place))
            new.replace(place)
            placed.append(place)
        for folder in {place.parent for _, place in staged}:
            sync_folder(folder)
    except BaseException:
        for place in placed:
            place.unlink(missing_ok=True)
        for kept, place in reversed(moved):
            kept.replace(place)
        raise
