"""What is inside the package: licences, inventory, nothing that may not be shipped."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.install.deb import ROOT, built, under_version, unpack

pytestmark = pytest.mark.install
SITE = "usr/lib/sekisho/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def package() -> Path:
    return built()


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(package, tmp_path_factory.mktemp("deb") / "tree")


def bundled(tree: Path) -> dict[str, str]:
    """Name and version of every distribution inside but our own."""
    found = dict(path.name.removesuffix(".dist-info").split("-", 1) for path in (tree / SITE).glob("*.dist-info"))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found.items() if name != "sekisho"}


def test_what_is_inside_is_what_was_pinned(tree: Path) -> None:
    locked = dict(re.findall(r"^([a-z0-9.-]+)==([^\s;\\]+)", (ROOT / "requirements/package.txt").read_text(), flags=re.M))
    assert bundled(tree) == locked


def test_the_inventory_names_everything_inside_with_hash_and_licence(tree: Path) -> None:
    inventory = json.loads((tree / "usr/share/sekisho/sbom.cdx.json").read_text())
    assert (inventory["bomFormat"], inventory["specVersion"]) == ("CycloneDX", "1.5")
    assert {row["name"].lower().replace("_", "-"): row["version"] for row in inventory["components"]} == bundled(tree)
    for row in inventory["components"]:
        assert row["licenses"], row["name"]
        assert re.fullmatch(r"[0-9a-f]{64}", row["hashes"][0]["content"]), row["name"]


def test_the_copyright_file_has_every_licence_text_that_the_wheels_bring(tree: Path) -> None:
    text = (tree / "usr/share/doc/sekisho/copyright").read_text()
    words = set(text.split())
    for name in bundled(tree):
        assert f"License: {name}-terms" in text, name
    for path in (tree / SITE).glob("*.dist-info/licenses/**/*"):
        if path.is_file():
            missing = set(path.read_text(errors="replace").split()) - words
            assert missing == set(), path.name


def test_no_copyleft_without_an_alternative_is_linked_in(tree: Path) -> None:
    inventory = json.loads((tree / "usr/share/sekisho/sbom.cdx.json").read_text())
    said = {row["name"]: json.dumps(row["licenses"]) for row in inventory["components"]}
    strict = {
        name: words for name, words in said.items() if "GPL" in words and "Apache" not in words and "exception" not in words
    }
    lesser = {"systemd-python"}  # LGPL-2.1 or later: a module of its own in the tree, which anybody may replace
    assert set(strict) - {"numpy"} == lesser
    assert "LGPL" in said["systemd-python"] or "Lesser" in said["systemd-python"]


def test_files_belong_to_root_and_nobody_else_may_write(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "-c", str(package)], capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [row.split(maxsplit=5) for row in listed.splitlines()]
    assert [row for row in rows if row[1] != "root/root"] == []
    assert [row for row in rows if not row[0].startswith("l") and (row[0][5] == "w" or row[0][8] == "w" or "s" in row[0])] == []


def test_compare_tells_the_same_from_another(package: Path, tmp_path: Path) -> None:
    other = under_version(package, "9.9", tmp_path)
    compare = [str(ROOT / "packaging/compare"), str(package)]
    assert subprocess.run([*compare, str(package)], capture_output=True, timeout=120, check=False).returncode == 0
    assert subprocess.run([*compare, str(other)], capture_output=True, timeout=120, check=False).returncode == 1
