"""What the command lines of the verbs share: names of types, and options that mean the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

CONFIG = "/etc/sekisho/sekisho.toml"
Verbs = Any  # argparse has no public name for what holds verbs
Add = Callable[[Any, str, str, str, str], argparse.ArgumentParser]


def config_option(p: argparse.ArgumentParser) -> None:
    """`--config`, with the installed one as default."""
    p.add_argument("--config", default=CONFIG, metavar="FILE", help=f"the configuration, {CONFIG} unless told")


def language_option(p: argparse.ArgumentParser, of: str = "the words") -> None:
    """`--lang`, English unless told."""
    p.add_argument("--lang", choices=("en", "ja"), default="en", help=f"language of {of}")
