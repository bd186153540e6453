"""What the documents say exists: make targets, verbs, files; and the changelog keeps its form."""

import re
from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version

import appliance
from tests.repo.tree import ROOT, run, sekisho

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def commands(word: str) -> set[str]:
    """First arguments of a command in the shell blocks of README and CONTRIBUTING."""
    found: set[str] = set()
    for name in ("README.md", "CONTRIBUTING.md"):
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", read(ROOT / name), flags=re.M | re.S):
            found |= set(re.findall(rf"^(?:\$ )?(?:\S*/)?{word} +([a-z][\w-]*)", block, flags=re.M))
    return found


def test_make_targets_of_the_documents_exist() -> None:
    targets = commands("make")
    assert {"demo", "test", "check"} <= targets
    broken = {target: done.stderr for target in targets if (done := run("make", "-n", target, "SHARED=.")).returncode}
    assert broken == {}


def test_verbs_of_the_documents_exist() -> None:
    verbs = commands("sekisho")
    assert {"learn", "detect"} <= verbs
    broken = {verb: done.stderr for verb in verbs if (done := sekisho(verb, "--help")).returncode}
    assert broken == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(path))
    inside = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in inside if not (path.parent / target).exists()] == []


def test_changelog_keeps_a_changelog() -> None:
    text = read(ROOT / "CHANGELOG.md")
    assert text.startswith("# Changelog\n")
    assert set(re.findall(r"^### (.+)$", text, flags=re.M)) <= SECTIONS
    heads = re.findall(r"^## (.+)$", text, flags=re.M)
    assert heads[0] == "[Unreleased]"
    released = []
    for head in heads[1:]:
        version, day = re.fullmatch(r"\[([^\]]+)\] - (\S+)", head).groups()  # type: ignore[union-attr]
        released.append((Version(version), date.fromisoformat(day)))
    assert released == sorted(released, reverse=True)
    assert not released or Version(appliance.__version__) >= released[0][0]


def test_decisions_are_numbered_without_a_gap_and_have_their_parts() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(len(decisions)))
    for path in decisions:
        assert re.findall(r"^## (\w+)", read(path), flags=re.M) == ["Context", "Choice", "Consequences"], path.name
