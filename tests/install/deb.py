"""What is inside a Debian package, and the same package under another version."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def built() -> Path:
    """The package that `make deb` built last. Raises FileNotFoundError with what to do."""
    found = sorted((ROOT / "dist").glob("sekisho_*.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FileNotFoundError("there is no package in dist/; next step: make deb")
    return found[-1]


def unpack(package: Path, folder: Path) -> Path:
    """Its files below `folder`, its control files in DEBIAN/."""
    subprocess.run(["dpkg-deb", "-R", str(package), str(folder)], check=True, timeout=120)
    return folder


def under_version(package: Path, version: str, folder: Path) -> Path:
    """The same contents as a package of another version, for upgrades from and to it."""
    tree = unpack(package, folder / "other")
    control = tree / "DEBIAN/control"
    rows = control.read_text().splitlines()
    control.write_text("\n".join(f"Version: {version}" if row.startswith("Version:") else row for row in rows) + "\n")
    made = folder / f"sekisho_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", str(tree), str(made)], check=True, timeout=120)
    return made
