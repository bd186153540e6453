"""Nothing of the machine a file was written on gets into the repository."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.repo.tree import ROOT, texts


def pip_settings() -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def registry_words() -> set[str]:
    """Hosts and folders that this machine's package clients fetch from, and pip's built-in one."""
    lists = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt").glob("sources.list.d/*")]
    settings = pip_settings() + "".join(p.read_text(errors="replace") for p in lists if p.is_file())
    words = {"py" + "pi.org", "files.python" + "hosted.org"}
    for url in re.findall(r"(?:https?|file)://[^\s'\"\]]+", settings):
        parts = urlsplit(url)
        words.add(parts.hostname or parts.path)
    words |= set(re.findall(r"find-links='(/[^']+)'", settings))
    return words


def machine_paths() -> set[str]:
    """Folders of whoever runs this, long enough to mean something."""
    own = {f"{ROOT}/", f"{Path.home()}/", f"{sys.base_prefix}/"}
    return own - {"/", "//", "/usr/", "/usr/local/", "/root/", "/nonexistent/"}


def mentions(words: set[str]) -> list[str]:
    return [f"{p.relative_to(ROOT)}: {w}" for p, text in texts().items() for w in words if w in text]


def test_no_path_of_this_machine() -> None:
    assert mentions(machine_paths()) == []


def test_no_home_folder_of_anybody() -> None:
    home = re.compile(r"/(?:home|Users)/[a-z][\w.-]*/|/root/\.?\w+")
    assert [f"{p.relative_to(ROOT)}: {m[0]}" for p, text in texts().items() if (m := home.search(text))] == []


def test_no_package_registry() -> None:
    assert mentions(registry_words()) == []


def test_text_ends_with_one_newline_and_has_no_carriage_return() -> None:
    data = {".csv", ".txt"}
    bad = [
        str(p.relative_to(ROOT)) for p, t in texts().items() if p.suffix not in data and t and (not t.endswith("\n") or "\r" in t)
    ]
    assert bad == []
