"""The manual pages hold what the command's help says, and every reader of manuals takes them."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import __version__, config
from appliance.cli.parser import parser
from tests.repo.tree import ROOT
from tests.repo.verbs import below, leaves

EPOCH = "1795219200"  # 2026-11-21


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages as the package's build makes them: in a process of its own that sees nothing but Python and the sources."""
    folder = tmp_path_factory.mktemp("man")
    made = subprocess.run(
        [sys.executable, "-I", "-S", "-B", str(ROOT / "packaging/manpages.py"), str(ROOT), str(folder)],
        env={"SOURCE_DATE_EPOCH": EPOCH, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (made.returncode, made.stderr) == (0, "")
    return {path.stem: path for path in sorted(folder.glob("man?/*"))}


def text(page: Path) -> str:
    """What a reader sees, without requests and fonts."""
    plain = re.sub(r"\\f[BIR]|\\%|\\&", "", page.read_text(encoding="utf-8"))
    return plain.replace("\\-", "-").replace("\\ ", " ").replace("\\(ti", "~").replace("\\e", "\\")


def spoken(words: str) -> str:
    return " ".join(words.split())


def test_every_verb_has_a_page_and_no_other_has(pages: dict[str, Path]) -> None:
    assert set(pages) == {"sekisho", "sekisho.toml", *(f"sekisho-{verb}" for verb in below(parser()))}


def test_the_first_page_names_all_others_and_the_version(pages: dict[str, Path]) -> None:
    said = text(pages["sekisho"])
    assert set(re.findall(r"sekisho-[a-z]+(?=\(1\))", said)) == set(pages) - {"sekisho", "sekisho.toml"}
    assert f'.TH "SEKISHO" "1" "2026-11-21" "sekisho {__version__}"' in said


@pytest.mark.parametrize("verb", sorted(below(parser())))
def test_a_page_holds_every_verb_option_argument_and_word_of_help(pages: dict[str, Path], verb: str) -> None:
    of = below(parser())[verb]
    said = spoken(text(pages[f"sekisho-{verb}"]))
    for one in leaves(of):
        assert one.prog in said
        assert spoken(one.description or "") in said
        form = argparse.HelpFormatter(one.prog)
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                continue
            assert action.help, f"{one.prog}: {action.metavar or action.option_strings} has no help"
            assert action.option_strings or str(action.metavar or action.dest) in said, action
            for name in action.option_strings:
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said), name
            assert spoken(form._expand_help(action)) in said, action.help


def test_examples_of_the_help_are_examples_of_the_page(pages: dict[str, Path]) -> None:
    lost = []
    for name, one in {"sekisho": parser(), **{f"sekisho-{verb}": p for verb, p in below(parser()).items()}}.items():
        said = spoken(text(pages[name]).replace("\\\n", " "))
        for epilog in (p.epilog or "" for p in ([one] if name == "sekisho" else leaves(one))):
            examples = re.findall(r"^  (.*)", epilog, flags=re.M)
            assert bool(examples) == ("example" in epilog)
            lost += [(name, line) for line in examples if spoken(line) not in said]
    assert lost == []


def test_the_configurations_page_has_every_key_that_is_read(pages: dict[str, Path]) -> None:
    """Keys from the example at the top of the room `config`, which the program itself takes; and no other in docs/cli.md."""
    example = (config.__doc__ or "").split("\n\n", 1)[1]
    config.parse_config(example.replace("\nprogram = ", "\n# program = "), "example")  # either ignore or program
    said = text(pages["sekisho.toml"])
    keys = re.findall(r"^(\w+ = \S+)", example, flags=re.M)
    assert len(keys) > 25
    assert [key for key in keys if key not in said] == []
    assert re.findall(r"^\.SS \[(\S+)\]", said, flags=re.M) == re.findall(r"^\[(\S+)\]", example, flags=re.M)
    block = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/cli.md").read_text(encoding="utf-8"), flags=re.S)[0]
    assert set(re.findall(r"^(?:# )?(\w+) = ", block, flags=re.M)) <= {key.split()[0] for key in keys}


def test_mandoc_finds_nothing_to_say(pages: dict[str, Path]) -> None:
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed; next step: apt-get install mandoc")
    done = subprocess.run(["mandoc", "-T", "lint", *map(str, pages.values())], capture_output=True, text=True, timeout=60)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_man_shows_them_without_a_warning(pages: dict[str, Path], tmp_path: Path) -> None:
    """As lintian asks it (groff-message), and that apropos finds the name and the line beside it (lexgrog)."""
    if not shutil.which("man") or not shutil.which("lexgrog"):
        pytest.skip("man is not installed; next step: apt-get install man-db groff-base")
    where = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80", "HOME": str(tmp_path)}
    for path in pages.values():
        shown = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)], env=where, capture_output=True, timeout=30
        )
        assert (shown.returncode, shown.stderr) == (0, b""), path.name
        named = subprocess.run(["lexgrog", str(path)], env=where, capture_output=True, text=True, timeout=30)
        assert f'"{path.stem} - ' in named.stdout, path.name
