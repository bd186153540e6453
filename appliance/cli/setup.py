"""`sekisho setup`: a few questions, a configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.cli.setup_texts import TEXTS
from appliance.config.sample import LEAST, Answers, Mode, sample
from appliance.errors import LiveError, UsageError
from appliance.host.upkeep.ports import Port, ports, start_units
from appliance.host.writing import check_target, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

MODE = 0o644
LOOK_S = 10.0  # that the ports are looked at when somebody is there to read it
TRIES = 3  # that a person has for one question


def run(arguments: argparse.Namespace) -> int:
    """Ask what was not said, write the configuration, start the appliance if told to; 0 then."""
    path = Path(arguments.config)
    if path.exists() and not arguments.replace:
        raise UsageError(f"{path}: there is a configuration already; edit it, or write it anew with --replace")
    ask = _prompt if sys.stdin is not None and sys.stdin.isatty() else _no_one
    language = arguments.lang or _choice(ask, "Language / 言語 (en, ja)", ("en", "ja"), "--lang", TEXTS["en"])
    words, out = TEXTS[language], Output()
    mode = Mode(arguments.mode or _choice(ask, words["mode"], tuple(Mode), "--mode", words))
    there = _ports()
    names = tuple(arguments.interface) or _interfaces(ask, there, words)
    if len(names) < LEAST[mode]:
        raise UsageError(f"--mode {mode}: needs {LEAST[mode]} interfaces and was given {len(names)}; name each with --interface")
    text = sample(Answers(names, mode, language, arguments.learn_for or ""), str(path))
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    check_target(path)
    write_whole(path, text.encode())
    path.chmod(MODE)
    out.lines(_remarks(names, mode, there, words))
    out.line(words["written"].format(path=path))
    if arguments.start:
        out.flush()
        start_units()
    out.line(words["started" if arguments.start else "start"])
    out.flush()
    seconds = arguments.look if arguments.look is not None else LOOK_S if ask is _prompt else 0.0
    if seconds and {port.name for port in there} & set(names):
        _doctor(path, seconds, language)
    return 0


def _doctor(path: Path, seconds: float, language: str) -> None:
    """Judge what the ports show, while the cable can still be put elsewhere."""
    from appliance.cli.doctor import run as doctor

    doctor(argparse.Namespace(capture=[], config=str(path), seconds=seconds, format="text", lang=language))


def _ports() -> list[Port]:
    try:
        return ports()
    except LiveError:
        return []  # asking goes on without a list


def _remarks(names: tuple[str, ...], mode: Mode, there: list[Port], words: dict[str, str]) -> list[str]:
    """What the installer should know of these answers."""
    known = {port.name: port for port in there}
    lines = [words["absent"].format(name=name) for name in names if name not in known]
    if mode is Mode.MIRROR:
        return lines + [words["address"].format(name=name) for name in names if name in known and known[name].addresses]
    return [*lines, words["power" if mode is Mode.BRIDGE else "router"], words["network"].format(mode=mode)]


def _interfaces(ask: Callable[[str, str], str], there: list[Port], words: dict[str, str]) -> tuple[str, ...]:
    rows = [words["ports"]]
    for port in there:
        own = "  " + words["own"].format(addresses=", ".join(port.addresses)) if port.addresses else ""
        rows.append(f"  {port.name:15s} {words['up' if port.up else 'down']}{own}")
    return tuple(ask("\n".join([*rows, words["interface"]]), "--interface").split())


def _choice(ask: Callable[[str, str], str], question: str, choices: tuple[str, ...], flag: str, words: dict[str, str]) -> str:
    for _ in range(TRIES):
        answer = ask(question, flag).lower()
        if answer in choices:
            return answer
        question = words["invalid"].format(answer=answer[:40], choices=", ".join(choices))
    raise UsageError(f"{flag}: no answer that is one of {', '.join(choices)}; give it on the command line")


def _prompt(question: str, flag: str) -> str:
    sys.stderr.write(question + "\n> ")
    sys.stderr.flush()
    line = sys.stdin.readline(1000)
    if not line:
        raise UsageError(f"{flag}: no answer; give it on the command line")
    return line.strip()


def _no_one(_question: str, flag: str) -> str:
    raise UsageError(f"{flag} is missing, and there is no terminal to ask at; give it on the command line")
