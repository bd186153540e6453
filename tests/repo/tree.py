"""The tracked files of this repository, read once."""

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FILE_LINES = 350
FUNCTION_LINES = 45


@cache
def tracked() -> tuple[Path, ...]:
    """Files that git tracks and that exist; skips where this is no checkout (a source archive)."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is tracked cannot be told")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=30).stdout
    return tuple(path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file())


@cache
def texts() -> dict[Path, str]:
    """Tracked files that hold text, with their text."""
    found = {}
    for path in tracked():
        raw = path.read_bytes()
        if b"\0" not in raw[:8192]:
            found[path] = raw.decode("utf-8", errors="replace")
    return found


def sources(*folders: str) -> dict[Path, str]:
    """Tracked Python files below the folders, with their text."""
    return {p: t for p, t in texts().items() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in folders}


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function in a Python source."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def oversize(factor: float = 1.0) -> list[str]:
    """Files and functions of the package past the house's sizes times the factor, as one line each."""
    rows = []
    for path, text in sources("appliance").items():
        name = path.relative_to(ROOT)
        lines = text.count("\n")
        if lines > FILE_LINES * factor:
            rows.append(f"{name}: {lines} lines")
        rows += [f"{name}: {func}() {size} lines" for func, size in functions(text) if size > FUNCTION_LINES * factor]
    return rows


@cache
def setup_cfg() -> configparser.ConfigParser:
    """setup.cfg, parsed as setuptools does: a `%` is a `%`."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def run(*command: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """One command in the repository's top folder; its output as text."""
    return subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def sekisho(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed console script of the running environment."""
    return run(Path(sys.executable).parent / "sekisho", *arguments)
