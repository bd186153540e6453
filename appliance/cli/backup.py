"""`sekisho backup|restore`: a gateway in one signed file, and out of it again."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output, note
from appliance.errors import BackupError, UsageError

if TYPE_CHECKING:
    import argparse

    from appliance.host.upkeep.backup_format import Opened, Seal


def run(arguments: argparse.Namespace) -> int:
    """Write a backup and say whose key signed it."""
    from appliance.host.clock import now_ns
    from appliance.host.upkeep.backup import backup

    passphrase = None if arguments.without_secrets else _passphrase(arguments, twice=True)
    made = backup(arguments.config, Path(arguments.out), passphrase, now_ns() * 1e-9, replace=arguments.replace)
    for line in made.missing:
        note(f"left out: {line}")
    out = Output()
    out.line(f"{made.path}: {made.files} files, {made.size:,} bytes, signed by {made.signer}")
    out.line(f"to restore: sekisho restore {made.path} --signer {made.signer}")
    out.flush()
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Check a backup; put it in place unless only a check was asked for."""
    from appliance.host.upkeep.backup_format import Opened
    from appliance.host.upkeep.restore import check_signer, plan, restore

    opened, config_path = Opened(Path(arguments.backup)), Path(arguments.config).absolute()
    out = Output()
    try:
        if arguments.check:
            plan(opened, config_path, None)
            nowhere = _Nowhere()
            out.line(
                f"{opened.path}: signed by {opened.signer}, made {_when(opened)} by sekisho {opened.manifest.get('sekisho')}"
            )
            for number, entry in enumerate(opened.entries):
                opened.copy(number, nowhere)
                out.line(f"  {entry.where}  {entry.size:,} bytes{'  sealed' if entry.sealed else ''}")
            out.flush()
            return 0
        check_signer(opened, Path(plan(opened, config_path, None).config.directory), arguments.signer)
        seal = _seal(opened, arguments)
        found = restore(opened, config_path, seal, replace=arguments.replace)
    finally:
        opened.close()
    for line in found.left_out:
        note(f"left out: {line}")
    out.line(f"{len(found.places)} files are in place, as of {_when(opened)}; what was there is kept as *.before-restore")
    interfaces = ", ".join(found.config.capture.interfaces)
    out.line(f"next: see that {interfaces} are the interfaces of this box ({config_path}), then: systemctl start sekisho.target")
    out.flush()
    return 0


class _Nowhere:
    """Takes everything, keeps nothing."""

    def write(self, piece: bytes) -> int:
        """Taken."""
        return len(piece)


def _seal(opened: Opened, arguments: argparse.Namespace) -> Seal | None:
    if arguments.without_secrets or not any(entry.sealed for entry in opened.entries):
        return None
    return opened.seal(_passphrase(arguments, twice=False))


def _passphrase(arguments: argparse.Namespace, *, twice: bool) -> bytes:
    """Out of a file that nobody else may read, or asked for at the terminal. Raises SekishoError."""
    from appliance.host.reporter.senders.trust import secret

    if arguments.passphrase_file is not None:
        return secret(arguments.passphrase_file)
    if not sys.stdin.isatty():
        raise UsageError("no passphrase: give --passphrase-file FILE, or say --without-secrets")
    first = getpass.getpass("passphrase: ")
    if twice and getpass.getpass("once more: ") != first:
        raise BackupError("the two are not the same; begin again")
    return first.encode()


def _when(opened: Opened) -> str:
    made = opened.manifest.get("made")
    if not isinstance(made, (int, float)) or not 0 <= made < 253_402_300_799:
        return "at a time it does not say"
    return datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M UTC")
