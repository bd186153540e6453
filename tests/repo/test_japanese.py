"""The Japanese documents say what the English ones say: the same sections, blocks, figures, words in code, and links.

They are compared section by section, from one heading to the next. What is in a block must be the same but for what
stands behind `#`; in sentences and tables each figure, each piece between backticks and each link must come as often as
in English. So a change of the English one that changes a fact fails here until the Japanese one has it too.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repo.commands import blocks
from tests.repo.tree import ROOT

ENGLISH = [ROOT / "README.md", ROOT / "docs/install.md", ROOT / "docs/operate.md"]
FIGURE = re.compile(r"(?<![\w.-])\d[\d,.]*\d|(?<![\w.-])\d", re.ASCII)
KANA = re.compile(r"[ぁ-んァ-ヶ]")


@dataclass
class Section:
    """A heading's level and the number of its line, and what stands below it, without the blocks."""

    level: int
    line: int
    heading: str
    text: str


def japanese(path: Path) -> Path:
    return path.with_name(f"{path.stem}.ja.md")


def sections(path: Path) -> list[Section]:
    """The sections of a document in order; the line that leads to the other language is left out."""
    inside = {n for block in blocks(path) for n in range(block.line - 1, block.line + len(block.lines) + 1)}
    found: list[Section] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if number in inside or re.fullmatch(r"\[[^]]+\]\(\w+(\.ja)?\.md\)", line):
            continue
        if head := re.match(r"(#+) (.+)", line):
            found.append(Section(len(head[1]), number, head[2], ""))
        else:
            found[-1].text += line + "\n"
    return found


def parts(text: str) -> dict[str, Counter[str]]:
    """What must be the same in both languages, with how often it comes."""
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)
    return {
        "figures": Counter(figure.strip(",.") for figure in FIGURE.findall(plain)),
        "code": Counter(re.findall(r"`([^`]+)`", text)),
        "links": Counter(link.replace(".ja.md", ".md") for link in re.findall(r"\]\(([^)#]+)", text)),
        "rows": Counter({"|": len(re.findall(r"^\|", text, flags=re.M))}),
    }


def commands(path: Path) -> list[list[str]]:
    """The lines of every block, without comments."""
    return [[re.sub(r"\s+#.*|^# (?!/).*", "", line).rstrip() for line in block.lines] for block in blocks(path)]


@pytest.mark.parametrize("path", ENGLISH, ids=lambda p: p.name)
def test_sections_are_the_same(path: Path) -> None:
    other = japanese(path)
    assert [s.level for s in sections(other)] == [s.level for s in sections(path)]
    without = [s.heading for s in sections(other)[1:] if not re.search(r"[ぁ-んァ-ヶ一-龠]", s.heading)]
    assert without == []


@pytest.mark.parametrize("path", ENGLISH, ids=lambda p: p.name)
def test_blocks_are_the_same(path: Path) -> None:
    assert commands(japanese(path)) == commands(path)


@pytest.mark.parametrize("path", ENGLISH, ids=lambda p: p.name)
def test_figures_code_and_links_are_the_same(path: Path) -> None:
    wrong = []
    for english, other in zip(sections(path), sections(japanese(path)), strict=True):
        for kind, wanted in parts(english.text).items():
            have = parts(other.text)[kind]
            if wanted != have:
                missing, extra = sorted((wanted - have).elements()), sorted((have - wanted).elements())
                wrong.append(
                    f"{japanese(path).name}:{other.line} ({english.heading}): {kind} missing {missing}, not in English {extra}"
                )
    assert wrong == [], "translate what changed in the English document"


@pytest.mark.parametrize("path", ENGLISH, ids=lambda p: p.name)
def test_sentences_are_japanese_and_languages_lead_to_each_other(path: Path) -> None:
    other = japanese(path)
    text = re.sub(r"`[^`]*`", "", "".join(s.text for s in sections(other)))
    paragraphs = [p for p in re.split(r"\n\s*\n", text) if len(re.sub(r"\W", "", p)) > 30]
    assert [p[:60] for p in paragraphs if not KANA.search(p)] == []
    assert re.findall(r"\*\*[^*]+[。、)]\*\*\w", text) == []  # not bold for CommonMark: a space is needed behind it
    assert f"]({other.name})" in path.read_text(encoding="utf-8")
    assert f"]({path.name})" in other.read_text(encoding="utf-8")


def test_a_difference_is_found() -> None:
    first, second = parts("found 0.99 of 100 (`make x`)"), parts("100 件中 0.98 (`make y`)")
    assert [kind for kind in first if first[kind] != second[kind]] == ["figures", "code"]
    assert parts("2.0 to 2.3 s, 6,900 records, p99 19 ms")["figures"] == Counter(["2.0", "2.3", "6,900", "19"])
