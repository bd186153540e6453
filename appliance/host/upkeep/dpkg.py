"""What Debian's own tools say of packages, and the one call that installs some. Lists of arguments, never a shell."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import UpdateError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASK_S, _INSTALL_S, _LOCK_S = 60, 1800, 120
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{1,100}")  # Debian Policy 5.6.1
_TAIL = 64 << 10
# No source is known to apt in this call: what is not in the bundle or installed cannot be fetched, also where there is a network.
# (`--no-download` would say the same, but apt 2.6 refuses packages given as files with it.)
_APT = (
    *("-y", "--no-install-recommends", "--no-remove"),
    *("-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::sourceparts=/dev/null"),
    *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
    *("-o", f"DPkg::Lock::Timeout={_LOCK_S}"),
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package file: its name, version, architecture, octets when installed."""

    path: Path
    name: str
    version: str
    arch: str
    installed_size: int


def package(path: Path) -> Package:
    """What a package file says of itself. Raises UpdateError."""
    done = _ask(["dpkg-deb", "--field", str(path), "Package", "Version", "Architecture", "Installed-Size"])
    rows = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    if done.returncode or not {"Package", "Version", "Architecture"} <= set(rows) or not _NAME.fullmatch(rows["Package"]):
        raise UpdateError(f"{path.name}: no Debian package; take another copy of the bundle")
    size = rows.get("Installed-Size", "0")
    kib = int(size) if size.isdecimal() and len(size) < 10 else 0
    return Package(path, rows["Package"], rows["Version"], rows["Architecture"], kib << 10)


def architecture() -> str:
    """Of this box, such as amd64. Raises UpdateError."""
    return _ask(["dpkg", "--print-architecture"]).stdout.strip()


def installed(name: str) -> tuple[str, bool]:
    """The version that is installed ("" where none), and whether it is so wholly. Raises UpdateError."""
    done = _ask(["dpkg-query", "-W", "-f", "${db:Status-Status}|${Version}\n", name])
    for line in done.stdout.splitlines():
        status, _, version = line.partition("|")
        if version and status not in {"not-installed", "config-files"}:
            return version, status == "installed"
    return "", False


def newer(version: str, other: str) -> bool:
    """Whether a version comes after another, as Debian orders them. Raises UpdateError."""
    return _ask(["dpkg", "--compare-versions", version, "gt", other]).returncode == 0


def install(paths: Sequence[Path], log: Path, lock: int, *, downgrade: bool) -> str:
    """Install package files; what apt says goes to `log`. "" when it is done, else why not. Raises UpdateError, OSError.

    In a session of its own: a terminal that goes away, or Ctrl-C, does not leave the box with half a package. apt-get holds the
    open file `lock` too, so that nobody takes the packages away under it when this process is killed.
    """
    arguments = ["apt-get", "install", *_APT, *(["--allow-downgrades"] if downgrade else []), *map(str, paths)]
    with log.open("wb") as said:
        try:
            done = subprocess.run(  # noqa: S603  # a list of arguments, no shell
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=_environment(),
                timeout=_INSTALL_S,
                start_new_session=True,
                pass_fds=(lock,),
                check=False,
            )
        except FileNotFoundError as error:
            raise UpdateError("apt-get: not found; an update is installed on Debian") from error
        except subprocess.TimeoutExpired:
            return f"apt-get did not end within {_INSTALL_S // 60} minutes"
    return "" if done.returncode == 0 else _why(log)


def _why(log: Path) -> str:
    """The line of apt's output that says most."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = [" ".join(line.split()) for line in file.read().decode("utf-8", "replace").splitlines()]
    for words in ("Depends:", "dpkg: error", "E: "):
        found = next((line for line in lines if words in line), "")
        if found:
            return "".join(letter for letter in found if letter.isprintable())[:200]
    return "apt-get did not say why"


def running() -> bool:
    """Whether systemd has the appliance up; False where there is no systemd."""
    try:
        return _ask(["systemctl", "is-active", "--quiet", "sekisho.target"]).returncode == 0
    except UpdateError:
        return False


def _ask(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  # a list of arguments, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            timeout=_ASK_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise UpdateError(f"{arguments[0]}: not found; an update is installed on Debian") from error
    except subprocess.TimeoutExpired as error:
        raise UpdateError(f"{arguments[0]}: does not answer; see whether another installation runs") from error


def _environment() -> dict[str, str]:
    path = os.environ.get("PATH") or "/usr/bin:/bin"
    return os.environ | {
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "PATH": f"{path}:/usr/sbin:/usr/bin:/sbin:/bin",
    }
