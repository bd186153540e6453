"""A Debian 12 tree: made once by debootstrap, kept in a cache, copied for each box. Mirrors are those of apt."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = "bookworm"
BASE = ("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "ca-certificates", "curl")
_NONE = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}


class TreeError(Exception):
    """The tree cannot be made on this machine; says why."""


def why_not() -> str:
    """Why a tree cannot be made and booted here, "" where it can."""
    if os.geteuid() != 0:
        return "the install test boots a system: it needs root"
    for command in ("debootstrap", "systemd-nspawn", "nsenter", "ip", "dpkg-deb"):
        if shutil.which(command, path=_NONE["PATH"]) is None:
            return f"{command} is not installed; next step: make install-test, which installs it"
    return ""


def cache() -> Path:
    """Where trees are kept between runs."""
    return Path(os.environ.get("SEKISHO_INSTALL_CACHE", "/var/cache")) / "sekisho-install-test"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nobody else changes what is kept: tests run side by side."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def lay_out(root: Path, package: Path) -> None:
    """Copy the kept tree to `root`, with the archives that the package will ask for. Raises TreeError."""
    base = cache() / SUITE
    with alone():
        if not (base / "etc/debian_version").exists():
            _debootstrap(base)
        _fetch(base, package)
        _copy(base, root)
    shutil.copy(package, root / "srv" / package.name)


def _copy(base: Path, root: Path) -> None:
    done = subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TreeError(f"the tree cannot be copied: {done.stderr[-300:]}")


def _debootstrap(base: Path) -> None:
    part = base.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(BASE)}", SUITE, str(part), _mirror()]
    done = subprocess.run(command, capture_output=True, text=True, env=_NONE, timeout=900, check=False)
    if done.returncode:
        raise TreeError(f"debootstrap failed: {done.stdout[-400:]} {done.stderr[-200:]}")
    (part / "etc/apt/sources.list").unlink(missing_ok=True)
    for path in _sources():
        shutil.copy(path, part / "etc/apt/sources.list.d" / path.name)
    settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, env=_NONE, timeout=30, check=True).stdout
    rows = [row for row in settings.splitlines() if row.startswith("Acquire::") and not row.endswith('"";')]
    (part / "etc/apt/apt.conf.d/99host").write_text("\n".join(rows) + "\n")
    part.rename(base)


def _mirror() -> str:
    """The repository of this machine's apt that holds the suite."""
    fields = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    for attempt in range(2):
        rows = subprocess.run(fields, capture_output=True, text=True, env=_NONE, timeout=60, check=False).stdout.splitlines()
        found = [row.split(maxsplit=1)[1] for row in rows if row.startswith(f"{SUITE} ")]
        if found:
            return found[0]
        if attempt == 0:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, env=_NONE, timeout=300, check=False)
    raise TreeError(f"apt of this machine knows no mirror with {SUITE}; the install test needs Debian 12's")


def _sources() -> list[Path]:
    """The lists of this machine's apt that name the suite as a suite of its own."""
    lists = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*.list"),
             *Path("/etc/apt/sources.list.d").glob("*.sources")]  # fmt: skip
    return [path for path in lists if SUITE in path.read_text(errors="replace").split()]


def _fetch(base: Path, package: Path) -> None:
    """Bring the archives of what the package depends on, so that apt finds them without a network."""
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", base / "etc" / name)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", base / "etc/ssl/certs/ca-certificates.crt")
    staged = base / "srv" / package.name
    shutil.copy(package, staged)
    try:
        for arguments in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", "--download-only", f"/srv/{package.name}"],
        ):
            done = subprocess.run(
                ["chroot", str(base), "apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments],
                capture_output=True,
                text=True,
                env=_NONE,
                timeout=300,
                check=False,
            )
            if done.returncode:
                raise TreeError(f"apt-get {arguments[0]} in the tree failed: {done.stderr[-400:]}")
    finally:
        staged.unlink()
