"""The configuration of the daemon: text -> `Config`, strictly. No file is opened here.

[capture]
interfaces = ["eth1"]          # which are watched; they may come later, go and come back
ring_mib = 64                  # memory of the ring of each
latency_ms = 500               # how often it is looked at: less is quicker and costs more CPU
promiscuous = true
offloads = "off"               # receive offloads: "off" switches them off, "check" only says so
ignore = ["not port 22"]       # frames left out, see docs/cli.md; or
program = "/etc/sekisho/f.bpf" # ... what `tcpdump -ddd FILTER` wrote

[learning]
for = "8h"                     # without it: until the baseline is adequate
survey = "10m"                 # what structures are inferred from
spool_mib = 512                # disk for frames that wait to be learned

[state]
directory = "/var/lib/sekisho"

[output]
language = "en"                # or "ja"
status_every = "60s"
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from appliance.errors import UsageError
from appliance.packets.filters import Instruction, assemble, parse_program
from appliance.packets.ring import RingShape

INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
MAX_INTERFACES = 16
MAX_TEXT = 256 << 10  # characters of a configuration
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_BLOCK = 1 << 16  # small: every `hold_ms` one is used up, however little it holds, so their number is what a pause may last
_MIB = 1 << 20
SURVEY, STATUS = 600 * 1_000_000_000, 60 * 1_000_000_000  # ns


@dataclass(frozen=True, slots=True)
class Capture:
    """What is watched; `program` is the path of a BPF program, "" where `ignore` makes it."""

    interfaces: tuple[str, ...]
    ring_mib: int = 64
    latency_ms: int = 500
    promiscuous: bool = True
    offloads: str = "off"
    ignore: tuple[str, ...] = ()
    program: str = ""

    @property
    def shape(self) -> RingShape:
        """The ring of one interface; a block is held back at most a tenth of the latency."""
        return RingShape(_BLOCK, self.ring_mib * _MIB // _BLOCK, min(max(self.latency_ms // 10, 8), 60))

    def instructions(self, program: str) -> tuple[Instruction, ...]:
        """The filter; `program` is the text of that file. Raises UsageError."""
        return tuple(parse_program(program, self.program) if self.program else assemble(list(self.ignore)))


@dataclass(frozen=True, slots=True)
class Learning:
    """`for_ns` 0: until adequate. `survey_ns`: time from which structures are inferred. `spool_bytes`: disk it may use."""

    for_ns: int = 0
    survey_ns: int = SURVEY
    spool_bytes: int = 512 * _MIB


@dataclass(frozen=True, slots=True)
class Output:
    """Language of the words, and how often a status record is written."""

    language: str = "en"
    status_ns: int = STATUS


@dataclass(frozen=True, slots=True)
class Config:
    """All of it; `directory` is where state is kept."""

    capture: Capture
    directory: str
    learning: Learning = Learning()
    output: Output = Output()


def duration(text: str) -> int:
    """A duration such as 90s, 10m, 1h30m or 2d in ns. Raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text) if _DURATION.fullmatch(text) else []
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total < 1e9:
        raise ValueError("not a duration; write it like 90s, 10m, 1h30m or 2d")
    return round(total * 1e9)


def parse_config(text: str, name: str) -> Config:
    """The configuration that `text` holds; `name` is what messages call it. Raises UsageError in one line."""
    if len(text) > MAX_TEXT:
        raise UsageError(f"{name}: longer than {MAX_TEXT >> 10} KiB; it is no configuration of ours")
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: {error}; see docs/cli.md for the form") from error
    except RecursionError as error:
        raise UsageError(f"{name}: nested too deeply; see docs/cli.md for the form") from error
    top = _Table(name, "", plain)
    capture, learning, state, output = (top.table(key) for key in ("capture", "learning", "state", "output"))
    top.end()
    config = Config(
        Capture(
            interfaces=capture.names("interfaces"),
            ring_mib=capture.number("ring_mib", 64, 1, 1024),
            latency_ms=capture.number("latency_ms", 500, 10, 5000),
            promiscuous=capture.flag("promiscuous", True),
            offloads=capture.choice("offloads", "off", ("off", "check")),
            ignore=capture.texts("ignore"),
            program=capture.text("program", ""),
        ),
        state.text("directory"),
        Learning(
            for_ns=learning.duration("for", 0),
            survey_ns=learning.duration("survey", SURVEY),
            spool_bytes=learning.number("spool_mib", 512, 16, 1 << 20) * _MIB,
        ),
        Output(output.choice("language", "en", ("en", "ja")), output.duration("status_every", STATUS)),
    )
    for table in (capture, learning, state, output):
        table.end()
    if config.capture.ignore and config.capture.program:
        raise UsageError(f"{name}: [capture] has both ignore and program; keep one of them")
    try:
        assemble(list(config.capture.ignore))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    if not config.directory.startswith("/"):
        raise UsageError(f"{name}: [state] directory = {config.directory!r} does not begin with /; give the whole path")
    return config


class _Table:
    """One table of the text; every key that is taken is known, what is left is refused."""

    def __init__(self, name: str, title: str, plain: dict[str, Any]) -> None:
        self.name, self.title, self.plain = name, title, dict(plain)

    def wrong(self, key: str, why: str) -> UsageError:
        return UsageError(f"{self.name}: {self.title} {key}: {why}".replace("  ", " "))

    def _take(self, key: str, kind: type, what: str) -> Any:
        value = self.plain.pop(key)
        if type(value) is not kind:
            raise self.wrong(key, f"{str(value)[:40]!r} is not {what}")
        return value

    def table(self, key: str) -> _Table:
        return _Table(self.name, f"[{key}]", self._take(key, dict, "a table") if key in self.plain else {})

    def text(self, key: str, default: str | None = None) -> str:
        if key not in self.plain:
            if default is None:
                raise self.wrong(key, "is missing; add it")
            return default
        value: str = self._take(key, str, "a text")
        if "\0" in value or len(value) > 1024:
            raise self.wrong(key, "is no path; give one")
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        value: int = self._take(key, int, "a whole number") if key in self.plain else default
        if not low <= value <= high:
            raise self.wrong(key, f"{value} is not within {low} and {high}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value: bool = self._take(key, bool, "true or false") if key in self.plain else default
        return value

    def choice(self, key: str, default: str, among: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in among:
            raise self.wrong(key, f"{value[:40]!r} is none of {', '.join(among)}")
        return value

    def duration(self, key: str, default: int) -> int:
        if key not in self.plain:
            return default
        value: str = self._take(key, str, "a duration such as 10m")
        try:
            return duration(value)
        except ValueError as error:
            raise self.wrong(key, f"{value[:40]!r} is {error}") from error

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._take(key, list, "a list of texts") if key in self.plain else []
        if not all(isinstance(value, str) and len(value) <= 200 for value in values):
            raise self.wrong(key, "is not a list of texts")
        return tuple(values)

    def names(self, key: str) -> tuple[str, ...]:
        values = self.texts(key)
        if not 1 <= len(values) <= MAX_INTERFACES or len(set(values)) != len(values):
            raise self.wrong(key, f"names {len(values)} interfaces; name 1 to {MAX_INTERFACES} different ones")
        for value in values:
            if not INTERFACE.fullmatch(value):
                raise self.wrong(key, f"{value[:40]!r} is no name of an interface; see `ip link`")
        return values

    def end(self) -> None:
        if self.plain:
            key = next(iter(self.plain))
            raise self.wrong(str(key)[:40], "is no key of it; see docs/cli.md for those there are")
