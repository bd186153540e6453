"""The configuration that `sekisho setup` writes: few keys, each with a word on what it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.config import parse_config

DIRECTORY: Final = "/var/lib/sekisho"
RUNTIME: Final = "/run/sekisho"


class Mode(StrEnum):
    """How the box stands in the network."""

    MIRROR = "mirror"  # beside it, at a port that copies
    BRIDGE = "bridge"  # in line, unseen
    ROUTER = "router"  # in line, as the way from one network to another


LEAST: Final = {Mode.MIRROR: 1, Mode.BRIDGE: 2, Mode.ROUTER: 2}  # interfaces

_TEXT = """\
# Sekisho: written by `sekisho setup`. After a change: systemctl reload-or-restart 'sekisho*.service'
# What is wrong here is told by: sekisho run --config {path} --check

[capture]
# The ports that are watched; they may come later, go and come back.
interfaces = [{interfaces}]
# Frames that are left out, such as the box's own maintenance: ignore = ["not port 22"]

[learning]
# How long it learns before it watches; without it: until it has learned enough, two hours at the least.
{learn}
# Disk for frames that wait to be learned.
spool_mib = 512

[state]
directory = "{directory}"
runtime = "{runtime}"

{enforce}[output]
# Language of what it tells: "en" or "ja".
language = "{language}"
# How often metrics and `sekisho status` are brought up to date.
status_every = "10s"
"""
_ENFORCE = """\
[enforce]
# The box stands in line as a {mode}.
bridge = {bridge}
# "observe": nothing is ever refused. "shadow" counts what would be, "enforce" does it; both need a policy (docs/policy.md).
posture = "observe"
# policy = "/etc/sekisho/policy.yaml"

"""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the installer said. `learn_for` such as "8h", "" for until adequate."""

    interfaces: tuple[str, ...]
    mode: Mode = Mode.MIRROR
    language: str = "en"
    learn_for: str = ""
    directory: str = DIRECTORY
    runtime: str = RUNTIME


def sample(answers: Answers, path: str) -> str:
    """The text of the configuration at `path`, sound by `parse_config`. Raises UsageError over an answer that cannot be."""
    learn = f'for = "{answers.learn_for}"' if answers.learn_for else '# for = "8h"'
    enforce = "" if answers.mode is Mode.MIRROR else _ENFORCE.format(mode=answers.mode, bridge=_flag(answers.mode is Mode.BRIDGE))
    text = _TEXT.format(
        path=path,
        interfaces=", ".join(f'"{name}"' for name in answers.interfaces),
        learn=learn,
        directory=answers.directory,
        runtime=answers.runtime,
        enforce=enforce,
        language=answers.language,
    )
    parse_config(text, path)
    return text


def _flag(value: bool) -> str:
    return "true" if value else "false"
