"""The configuration file as all processes read it, at their start and again at SIGHUP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import UsageError

if TYPE_CHECKING:
    from appliance.config import Config


def read_config(path: str) -> tuple[Config, str]:
    """The configuration in a file, and the text of the BPF program it names (""). Raises UsageError in one line."""
    from appliance.config import parse_config

    config = parse_config(_text(path, path), path)
    program = (
        _text(config.capture.program, f"{path}: [capture] program {config.capture.program}") if config.capture.program else ""
    )
    config.capture.instructions(program)
    return config, program


def check_unmoved(before: Config, now: Config) -> None:
    """Raises UsageError where a configuration asks for what only a new start can do."""
    for key in ("directory", "runtime"):
        if getattr(before, key) != getattr(now, key):
            raise UsageError(f"[state] {key} cannot change while it runs; start anew")
    if before.capture.cores != now.capture.cores:
        raise UsageError("[capture] cores cannot change while it runs; start anew")


def _text(path: str, name: str) -> str:
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise UsageError(f"{name}: not a file; name a file")
        with Path(path).open(encoding="utf-8") as file:
            return file.read(1 << 20)
    except FileNotFoundError as error:
        raise UsageError(f"{name}: no such file; name another one, or write it with `sekisho setup`") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not a text in UTF-8; see docs/cli.md for the form") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be read: {error}; check its owner and mode") from error
