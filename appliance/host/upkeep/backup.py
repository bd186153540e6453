"""`sekisho backup`: identity, configuration, policy, baseline, stores and ledger of a gateway in one signed file.

Databases are copied by SQLite's own backup, so that the appliance may run: the reporter's first and the keeper's after it, so
that what is marked as pulled is there. Left out is what is bound to this box or made again: sockets, locks, spool, frames.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import shutil
import sqlite3
import stat
import tempfile
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import appliance
from appliance.config.report import ToFile, ToMail, ToWebhook
from appliance.errors import BackupError
from appliance.host.config_file import read_config
from appliance.host.upkeep import identity
from appliance.host.upkeep.backup_format import (
    DOMAIN,
    FORMAT,
    MANIFEST,
    MAX_SECRET,
    NAME,
    PIECE,
    SIGNATURE,
    Entry,
    Seal,
    seal_words,
)
from appliance.host.writing import sync_folder

if TYPE_CHECKING:
    from appliance.config import Config

Json = dict[str, object]
LEAST = 12  # characters of a passphrase
_LEFT_OUT = (".lock", ".sock", "-wal", "-shm", ".part", ".blocks", ".restoring")
_ASIDE = (".damaged-", ".before-")


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: where, whose key signed it, how many files and octets, what is missing in words."""

    path: Path
    signer: str
    files: int
    size: int
    missing: list[str]


@dataclass(slots=True)
class _Maker:
    """Collects files in a folder of its own beside the target."""

    folder: Path
    seal: Seal | None
    entries: list[Entry] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def file(self, kind: str, where: str, source: Path, *, secret: bool = False) -> None:
        """Take a plain file, or seal a secret. Raises BackupError."""
        if secret and self.seal is None:
            self.missing.append(f"{source}: a secret, and no passphrase was given")
            return
        copy = self.folder / str(len(self.entries))
        try:
            with source.open("rb") as taken, copy.open("xb") as to:
                if secret and self.seal is not None:
                    held = taken.read(MAX_SECRET + 1)
                    if len(held) > MAX_SECRET:
                        raise BackupError(
                            f"{source}: too long for a secret ({MAX_SECRET >> 10} KiB at most); check the configuration"
                        )
                    to.write(self.seal.close(held, where))
                else:
                    shutil.copyfileobj(taken, to, PIECE)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)
            self.missing.append(f"{source}: it is not there")
            return
        self._enter(kind, where, source, copy, secret)

    def database(self, name: str, source: Path) -> None:
        """Take a database as it is at one moment. Raises BackupError."""
        copy = self.folder / str(len(self.entries))
        try:
            here = sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)
            there = sqlite3.connect(copy)
            try:
                here.backup(there, pages=-1)
                there.execute("PRAGMA journal_mode = DELETE").fetchall()
                said = there.execute("PRAGMA quick_check(1)").fetchone()[0]
            finally:
                here.close()
                there.close()
        except sqlite3.Error as error:
            raise BackupError(f"{source}: cannot be copied ({error}); see `sekisho status`, or move the file away") from error
        if said != "ok":
            raise BackupError(f"{source}: damaged ({said[:80]}); see `sekisho status`, or move the file away")
        self._enter("state", name, source, copy, secret=False)

    def _enter(self, kind: str, where: str, source: Path, copy: Path, secret: bool) -> None:
        state = source.stat()
        with copy.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        owner, group = _names(state.st_uid, state.st_gid)
        size = copy.stat().st_size
        self.entries.append(Entry(kind, where, size, digest, stat.S_IMODE(state.st_mode), owner, group, secret))


def backup(config_path: str, out: Path, passphrase: bytes | None, now: float, *, replace: bool = False) -> Made:
    """Write the backup; nothing is left where it cannot. Without a passphrase secrets stay out. Raises BackupError."""
    if passphrase is not None and len(passphrase) < LEAST:
        raise BackupError(f"the passphrase is shorter than {LEAST} characters; take a longer one")
    if out.exists() and not replace:
        raise BackupError(f"{out}: it is there already; name another file, or say --replace")
    config, _ = read_config(config_path)
    directory = Path(config.directory)
    if not directory.is_dir():
        raise BackupError(f"{directory}: there is no such folder: nothing was learned yet; see [state] directory")
    key = identity.site_key(directory)
    salt = os.urandom(16)
    seal = None if passphrase is None else Seal.of(passphrase, salt)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.resolve().parent) as folder:
            maker = _Maker(Path(folder), seal)
            _collect(maker, config, Path(config_path), directory, out)
            manifest: Json = {
                "format": FORMAT,
                "sekisho": appliance.__version__,
                "made": round(now, 3),
                "key": key.public_key().public_bytes_raw().hex(),
                "seal": seal_words(salt) if seal is not None else None,
                "files": [asdict(entry) for entry in maker.entries],
            }
            raw = json.dumps(manifest, indent=1).encode()
            whole = Path(folder) / "whole"
            _pack(whole, Path(folder), len(maker.entries), raw, key.sign(DOMAIN + raw))
            whole.replace(out)
            sync_folder(out.resolve().parent)
    except OSError as error:
        raise BackupError(f"{out}: cannot be written ({error.strerror or error}); make room, or choose another place") from error
    signer = identity.fingerprint(key.public_key())
    return Made(out, signer, len(maker.entries), out.stat().st_size, maker.missing)


def _collect(maker: _Maker, config: Config, config_path: Path, directory: Path, out: Path) -> None:
    named = named_files(config)
    maker.file("config", str(config_path.absolute()), config_path)
    for path, secret in named:
        maker.file("named", path, Path(path), secret=secret)
    others = {path.resolve() for path in (config_path, out, *(Path(path) for path, _ in named))}
    reported = tuple(str(Path(target.path).resolve()) for target in _files(config))  # and what was rotated: path.1, path.2 ...
    taken = [path for path in directory.iterdir() if _taken(path) and path.resolve() not in others]
    names = sorted(path.name for path in taken if not str(path.resolve()).startswith(reported))
    databases = [name for name in names if name.endswith(".sqlite")]
    for name in sorted(databases, key=lambda name: (name != "reporter.sqlite", name)):
        maker.database(name, directory / name)
    for name in names:
        if name not in databases:
            maker.file("state", name, directory / name, secret=name.endswith(".key"))


def _files(config: Config) -> list[ToFile]:
    """Where reports are written to: they are copies of what is in the store."""
    report = config.report
    return [one.target for one in (report.destinations if report is not None else ()) if isinstance(one.target, ToFile)]


def _taken(path: Path) -> bool:
    """Whether a file of the state directory goes along."""
    name = path.name
    if path.is_symlink() or not path.is_file() or not NAME.fullmatch(name):
        return False
    return (
        not name.endswith(_LEFT_OUT) and ".damaged-" not in name and ".before-" not in name and not name.startswith("learning.")
    )


def named_files(config: Config) -> list[tuple[str, bool]]:
    """Files that the configuration names, and whether each is a secret."""
    found: dict[str, bool] = {}
    if config.enforce is not None:
        found[config.enforce.policy] = False
    found[config.capture.program] = False
    for destination in config.report.destinations if config.report is not None else ():
        target = destination.target
        if isinstance(target, ToFile):
            continue
        found |= {target.tls.ca: False, target.tls.certificate: False, target.tls.key: True}
        if isinstance(target, ToWebhook):
            found[target.secret] = True
        if isinstance(target, ToMail):
            found[target.password] = True
    return [(path, secret) for path, secret in found.items() if path]


def _pack(whole: Path, folder: Path, count: int, raw: bytes, signature: bytes) -> None:
    number = os.open(whole, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
            for name, held in ((MANIFEST, raw), (SIGNATURE, signature)):
                packed.writestr(zipfile.ZipInfo(name), held)
            for at in range(count):
                packed.write(folder / str(at), str(at))
        file.flush()
        os.fsync(file.fileno())


def _names(uid: int, gid: int) -> tuple[str, str]:
    """Names, since numbers differ from box to box; "" where there are none."""
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = ""
    try:
        return owner, grp.getgrgid(gid).gr_name
    except KeyError:
        return owner, ""
