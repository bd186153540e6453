"""`sekisho update`: what a bundle is, what was done, and how to go back."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.errors import UpdateError

if TYPE_CHECKING:
    import argparse

    from appliance.host.upkeep.update import Done, Offer


def run_check(arguments: argparse.Namespace) -> int:
    """Say what a bundle would do; it is copied, looked at and thrown away."""
    from appliance.host.upkeep.bundle import stage
    from appliance.host.upkeep.update import judge
    from appliance.host.upkeep.update_keys import trusted

    keys, out = trusted(Path(arguments.keys)), Output()
    try:
        with tempfile.TemporaryDirectory(prefix="sekisho-update-") as folder:
            offer = judge(stage(Path(arguments.folder), Path(folder), keys), downgrade=arguments.allow_downgrade)
            out.lines(_offered(offer))
    except OSError as error:
        raise UpdateError(f"{tempfile.gettempdir()}: cannot be written ({error.strerror}); make room there") from error
    out.line(f"to install it: sekisho update install {arguments.folder}")
    out.flush()
    return 0


def run_install(arguments: argparse.Namespace) -> int:
    """Install a bundle; 1 where the appliance ran before and does not now."""
    _root("install")
    from appliance.host.clock import now_ns
    from appliance.host.upkeep.update import Asked, install
    from appliance.host.upkeep.update_keys import trusted
    from appliance.report import wording as _  # noqa: F401  # for an error's line: afterwards it would be the new version's

    asked = Asked(arguments.by or _person(), arguments.allow_downgrade, not arguments.without_backup)
    out = Output()
    try:
        done = install(Path(arguments.folder), arguments.config, trusted(Path(arguments.keys)), asked, now_ns() * 1e-9)
    except OSError as error:
        raise UpdateError(f"{error.filename or 'update'}: cannot be written ({error.strerror}); check disk and owner") from error
    out.lines(_done(done))
    out.flush()
    ran, runs = done.runs
    return int(ran and not runs)


def run_trust(arguments: argparse.Namespace) -> int:
    """Take a key."""
    _root("trust")
    from appliance.host.clock import now_ns
    from appliance.host.upkeep.update import log, state, workshop
    from appliance.host.upkeep.update_keys import read_key, trust

    key, out = read_key(Path(arguments.key)), Output()
    wanted = (arguments.fingerprint or key.fingerprint).replace("-", "").lower()
    if wanted != key.fingerprint.replace("-", ""):
        raise UpdateError(f"{arguments.key}: its fingerprint is {key.fingerprint}, not that; do not trust it, ask its maker")
    with workshop(state(arguments.config)[0]) as (folder, _):
        path = trust(key, Path(arguments.keys))
        row = {"time": round(now_ns() * 1e-9, 3), "by": arguments.by, "what": "trusts", "key": key.name}
        log(folder, row | {"fingerprint": key.fingerprint})
    out.line(f"{path}: updates signed by {key.name!r} are taken from now on")
    out.line(f"fingerprint: {key.fingerprint}")
    out.line(f"compare it with what its maker told you by another way than the file; if it differs: rm {path}")
    out.flush()
    return 0


def run_keys(arguments: argparse.Namespace) -> int:
    """Name and fingerprint of each trusted key."""
    from appliance.host.upkeep.update_keys import trusted

    out = Output()
    out.lines(f"{key.fingerprint}  {key.name}" for key in trusted(Path(arguments.keys)))
    out.flush()
    return 0


def _offered(offer: Offer) -> list[str]:
    bundle = offer.bundle
    return [
        f"sekisho {bundle.version} for {bundle.arch}, made {bundle.made}, signed by {bundle.key.name!r} {bundle.key.fingerprint}",
        f"  installed now: {offer.before or 'nothing'}{' (newer: this goes back)' if offer.older else ''}",
        *(f"  would install {one.name} {one.version}" for one in offer.install),
        *(f"  is there already: {one.name} {one.version} or later" for one in offer.present),
    ]


def _done(done: Done) -> list[str]:
    bundle, before = done.offer.bundle, done.offer.before
    ran, runs = done.runs
    signer = f"{bundle.key.name!r} {bundle.key.fingerprint}"
    lines = [f"sekisho {bundle.version} is installed; before: {before or 'none'}; signed by {signer}"]
    lines += [f"  also installed: {one.name} {one.version}" for one in done.offer.install if one.name != "sekisho"]
    if ran:
        lines.append(
            "appliance: it runs again" if runs else "appliance: IT RAN BEFORE AND DOES NOT NOW; see: systemctl status 'sekisho*'"
        )
    else:
        lines.append("appliance: it runs" if runs else "appliance: it did not run and was not started")
    if done.backup is not None:
        made = done.backup
        lines.append(
            f"backup: {made.path}, {made.files} files, {made.size:,} bytes, signed by {made.signer}; no keys or passwords in it"
        )
    else:
        lines.append("backup: none was made")
    if done.back is not None:
        lines.append(f"to go back: sekisho update install {done.back} --allow-downgrade")
    elif before:
        lines.append(
            f"to go back: with the bundle or package of {before} that you have; it is not kept here yet, the next one will be"
        )
    if done.backup is not None:
        restore = f"sekisho restore {done.backup.path} --replace"
        lines.append(f"  and its state: systemctl stop sekisho.target; {restore}; systemctl start sekisho.target")
    lines.append(f"log: {done.folder}/log.jsonl, {done.folder}/apt.log")
    return lines


def _root(verb: str) -> None:
    if os.geteuid() != 0:
        raise UpdateError(f"update {verb}: only root may change what is installed; do it as root, or with sudo")


def _person() -> str:
    """Who is logged in: whoever became root by sudo, or the user's name."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
