"""The console script answers, and the wheel carries every file of the package."""

import re
import shutil
import sys
import zipfile
from pathlib import Path

import appliance
from tests.repo.tree import ROOT, run, sekisho, tracked


def verbs() -> list[str]:
    braces = re.search(r"\{([a-z,-]+)\}", sekisho("--help").stdout)
    assert braces, "sekisho --help lists no verbs"
    return braces[1].split(",")


def test_help_names_the_verbs_and_each_verb_helps() -> None:
    assert {"learn", "detect"} <= set(verbs())
    for verb in verbs():
        done = sekisho(verb, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"sekisho {verb}" in done.stdout


def test_module_and_console_script_are_the_same_program() -> None:
    by_module = run(sys.executable, "-m", "appliance", "--help")
    assert by_module.returncode == 0
    assert by_module.stdout == sekisho("--help").stdout


def test_version_is_told() -> None:
    done = sekisho("--version")
    assert done.returncode == 0
    assert appliance.__version__ in done.stdout


def test_an_unknown_verb_is_refused_in_words() -> None:
    done = sekisho("no-such-verb")
    assert done.returncode == 2
    assert "no-such-verb" in done.stderr
    assert "Traceback" not in done.stderr


def test_wheel_carries_every_tracked_file_of_the_package(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in tracked():
        if path.relative_to(ROOT).parts[0] in {"appliance", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE"}:
            copy = tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    built = run(
        sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", tmp_path, tree, timeout=120
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("sekisho-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        p.relative_to(tree).as_posix() for p in (tree / "appliance").rglob("*") if p.is_file() and not p.name.startswith(".")
    }
    assert wanted - packed == set()
