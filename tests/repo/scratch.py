"""A folder in which the commands of a document find what they name: captures of the lab, baselines, policies, plans.

A name gets the lab's file that plays its part; places of an installed appliance (/etc/sekisho, /var/lib/sekisho) become
folders in it. Nothing is written that a command is to write itself.
"""

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.repo.tree import ROOT

PLANT = ROOT / "pcaps/modbus-attack"
ATTACKED = ("wednesday", "today", "week", "day")  # what these captures end with is an attack
PLACES = ("/etc/sekisho", "/var/lib/sekisho", "/usr/share/sekisho")
OUTPUTS = ("--output", "--out", "--report")
HEAD, RECORD = 24, 16  # bytes of the headers of a capture and of a frame (pcap)
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1@test
DTSTAMP:20261101T000000Z
DTSTART:20261124T020000
DTEND:20261124T040000
SUMMARY:Backup of the programs
END:VEVENT
END:VCALENDAR
"""


class Scratch:
    """`run` does what a shell would in that folder; files that are named and not there are brought first."""

    def __init__(self, folder: Path, sound: Path, hostile: Path) -> None:
        """`sound` is a baseline of the plant, `hostile` one with an attack in the learning time."""
        self.folder, self.sound, self.hostile = folder, sound, hostile
        (folder / "rules").symlink_to(ROOT / "rules")
        (folder / "pcaps").symlink_to(ROOT / "pcaps")

    def run(self, words: Sequence[str], after: str = "", into: str = "") -> subprocess.CompletedProcess[str]:
        """One command, `words[0]` being sekisho; its exit code and output."""
        words = [self._placed(word) for word in words[1:]]
        self._bring(words)
        words = [self._named(word, words) for word in words]
        done = sekisho(self.folder, words, PLANT / "test.pcap" if after else None)
        if into:
            (self.folder / into).write_text(done.stdout, encoding="utf-8")
        return done

    def _placed(self, word: str) -> str:
        """A place of the installed appliance, in this folder."""
        for place in PLACES:
            if word == place or word.startswith(f"{place}/"):
                here = self.folder / word.lstrip("/")
                here.parent.mkdir(parents=True, exist_ok=True)
                return str(here)
        return word

    def _bring(self, words: Sequence[str]) -> None:
        """Every file that the command is to read."""
        if words[:2] == ["baseline", "review"]:
            shutil.copyfile(self.hostile, self.folder / words[2])
        written = {after for word, after in pairwise(words) if word in OUTPUTS}
        if words[0] == "learn" and "--add" not in words:
            written.add(words[words.index("--baseline") + 1])
        for n, word in enumerate(words):
            path = self.folder / word
            if word.startswith("-") or word in written or (n and words[n - 1] in ("--by", "--why")) or path.exists():
                continue
            self._make(path, words)

    def _make(self, path: Path, words: Sequence[str]) -> None:
        """One file, by what its name says that it is; a word that names no file makes none."""
        name = path.name
        if "*" in name and ".pcap" in name:
            for n, part in enumerate(("train", "test")):
                capture(path.with_name(name.replace("*", str(n))), [PLANT / f"{part}.pcap"])
        elif name == "week.pcap":
            capture(path, [PLANT / "train.pcap", PLANT / "test.pcap"], hours=9)
        elif name == "day.pcap":
            capture(path, [*[PLANT / "train.pcap"] * 8, PLANT / "test.pcap"], hours=1)
        elif ".pcap" in name:
            capture(path, [PLANT / ("test.pcap" if name.startswith(ATTACKED) else "train.pcap")])
        elif name.endswith("baseline") or name in ("hall1", "hall2"):
            shutil.copyfile(self.sound, path)
        elif name == "plans.yaml":
            shutil.copyfile(ROOT / "rules/work-plans/example.yaml", path)
        elif name.endswith(".ics"):
            path.write_text(CALENDAR, encoding="utf-8", newline="\r\n")
        elif name.endswith(".toml"):
            written = ["setup", "--interface", "eth1", "--mode", "mirror", "--lang", "en", "--config", str(path)]
            assert sekisho(self.folder, written).returncode == 0

    def _named(self, word: str, words: Sequence[str]) -> str:
        """An id as it is called here; in the findings the incident gets the one that is asked for."""
        listed = ["baseline", words[1], words[2]] if len(words) > 2 else []
        if re.fullmatch(r"i(-\d+)+", word) and words[:2] == ["baseline", "accept"]:
            self._findings(words[3], word)
        if re.fullmatch(r"a-[0-9a-f]{10}", word):
            return found(r"a-[0-9a-f]{10}", sekisho(self.folder, [*listed, "--list"]).stdout)
        if re.fullmatch(r"r-[0-9a-f]{10}", word):
            return found(r"r-[0-9a-f]{10}", sekisho(self.folder, listed).stdout)
        return word.replace("10.0.0.", "10.40.2.") if "--asset" in words else word  # the plant's addresses

    def _findings(self, name: str, incident: str) -> None:
        """What `detect --format jsonl` says of the attack, with one incident under the id asked for."""
        told = sekisho(self.folder, ["detect", str(PLANT / "test.pcap"), "--baseline", str(self.sound), "--format", "jsonl"])
        ids = [record["id"] for record in map(json.loads, told.stdout.splitlines()) if record["type"] == "incident"]
        text = told.stdout.replace(f'"{ids[-1]}"', f'"{incident}"')
        (self.folder / name).write_text(text, encoding="utf-8")


def sekisho(folder: Path, words: Sequence[str], given: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command of this checkout, in a folder; names with * are those of the folder."""
    spread = [name for word in words for name in (sorted(map(str, folder.glob(word))) if "*" in word else [word])]
    where = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    with (given or Path(os.devnull)).open("rb") as source:
        return subprocess.run(
            [sys.executable, "-m", "appliance", *spread],
            cwd=folder, env=where, stdin=source, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def found(pattern: str, text: str) -> str:
    """The first place of a text that fits."""
    fits = re.search(pattern, text)
    assert fits, f"no {pattern} in {text!r}"
    return fits[0]


def capture(path: Path, parts: Sequence[Path], hours: int = 0) -> None:
    """Captures one behind the other, each begun `hours` after the one before it; gzip where the name says so."""
    whole, begin = b"", None
    for number, part in enumerate(parts):
        raw = bytearray(part.read_bytes())
        start: int = struct.unpack_from("<I", raw, HEAD)[0]
        begin = start if begin is None else begin
        at = HEAD
        while hours and at < len(raw):
            seconds, _, size = struct.unpack_from("<III", raw, at)
            struct.pack_into("<I", raw, at, seconds - start + begin + number * hours * 3600)
            at += RECORD + size
        whole += raw if not number else raw[HEAD:]
    path.write_bytes(gzip.compress(whole, 1) if path.suffix == ".gz" else whole)
