"""Every package is pinned by version and by hash, and all sets agree."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.repo.tree import ROOT, setup_cfg

FOLDER = ROOT / "requirements"
LOCKS = sorted(path.stem for path in FOLDER.glob("*.txt"))
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==([^\s;\\]+)", re.M)


def blocks(name: str) -> list[str]:
    """One text per pinned package of a lock file, its hashes included."""
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / f"{name}.txt").read_text(encoding="utf-8"), flags=re.M)
    return [block for block in re.split(r"^(?=\S)", text, flags=re.M) if block.strip()]


def pins(name: str) -> dict[str, Version]:
    return {m[1]: Version(m[2]) for m in PIN.finditer((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))}


def wishes(text: str) -> list[Requirement]:
    rows = (line.split("#")[0].strip() for line in text.splitlines())
    return [Requirement(row) for row in rows if row and not row.startswith("-")]


def test_there_is_a_lock_for_every_wish_and_a_wish_for_every_lock() -> None:
    assert {"run", "words", "test"} <= set(LOCKS)
    assert sorted(path.stem for path in FOLDER.glob("*.in")) == LOCKS


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pinned_version_with_hashes_and_names_no_place(name: str) -> None:
    assert blocks(name)
    for block in blocks(name):
        assert PIN.match(block), block.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]
        assert not re.search(r"://|--(?:extra-)?index-url|--find-links|@ ", block), block.splitlines()[0]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_fulfils_its_wishes(name: str) -> None:
    locked = pins(name)
    for wish in wishes((FOLDER / f"{name}.in").read_text(encoding="utf-8")):
        assert wish.specifier.contains(locked[wish.name.lower()]), str(wish)


def test_all_locks_agree_on_every_version() -> None:
    versions: dict[str, set[Version]] = {}
    for name in LOCKS:
        for package, version in pins(name).items():
            versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_locks_fulfil_what_the_package_declares() -> None:
    options = setup_cfg()
    declared = {"run": options["options"]["install_requires"], **dict(options["options.extras_require"])}
    assert {"run", "words", "train", "lab", "systemd"} == set(declared)
    for name, text in declared.items():
        locked = pins(name)
        for wish in wishes(text):
            assert wish.specifier.contains(locked[wish.name]), f"{name}: {wish}"


def test_build_backend_is_the_pinned_one() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert build["requires"] == [f"setuptools=={pins('build')['setuptools']}"]
