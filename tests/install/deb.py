"""What is inside a Debian package; the same one under another version or with a later schema; that of an older commit."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.install.tree import TreeError, cache

ROOT = Path(__file__).resolve().parents[2]
PREVIOUS = "f5a01e4a54a04c8796186f7e4af12d352f430b5e"  # the first commit whose package could be installed, set up and removed
BEFORE = "0.0.9"  # the version that its package is given
STORE = "usr/lib/sekisho/lib/python3.11/site-packages/appliance/host/keeper/store_file.py"


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


def under_version(package: Path, version: str, folder: Path, *, schema: bool = False) -> Path:
    """The same contents as a package of another version; with `schema` its store is a step further on."""
    tree = unpack(package, folder / version)
    control = tree / "DEBIAN/control"
    rows = control.read_text().splitlines()
    control.write_text("\n".join(f"Version: {version}" if row.startswith("Version:") else row for row in rows) + "\n")
    if schema:
        _later_schema(tree / STORE)
    made = folder / f"sekisho_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", str(tree), str(made)], check=True, timeout=120)
    return made


def _later_schema(store: Path) -> None:
    """What a later version would change: its number, and the step that makes it of today's."""
    text = store.read_text()
    step = "ALTER TABLE incidents ADD COLUMN later TEXT NOT NULL DEFAULT ''"
    for old, new in (
        ("\nVERSION = 1\n", "\nVERSION = 2\n"),
        ("\nMIGRATIONS: Mapping[int, str] = {}\n", f"\nMIGRATIONS: Mapping[int, str] = {{1: {step!r}}}\n"),
    ):
        assert text.count(old) == 1, f"{store}: {old.strip()}"
        text = text.replace(old, new)
    store.write_text(text)


def previous() -> Path:
    """The package of PREVIOUS, built once and kept beside the trees. Raises TreeError where it cannot be built here."""
    kept = cache() / f"sekisho_{BEFORE}-{PREVIOUS[:12]}.deb"
    if kept.exists():
        return kept
    git = ["git", "-C", str(ROOT)]
    if subprocess.run([*git, "cat-file", "-e", PREVIOUS], capture_output=True, check=False, timeout=30).returncode:
        raise TreeError(f"commit {PREVIOUS[:12]} is not here (a shallow clone?); next step: git fetch --unshallow")
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        archive = subprocess.run([*git, "archive", PREVIOUS], capture_output=True, check=True, timeout=60).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True, timeout=60)
        done = subprocess.run(
            ["packaging/build", "dist", BEFORE], cwd=folder, capture_output=True, text=True, check=False, timeout=1800
        )
        if done.returncode:
            raise TreeError(f"the package of commit {PREVIOUS[:12]} cannot be built: {done.stderr[-300:]}")
        shutil.copy(next(Path(folder).glob("dist/*.deb")), kept)
    return kept
