"""Verbs that ask a running appliance: where its sockets are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.options import CONFIG

if TYPE_CHECKING:
    import argparse

    from appliance.host.control import Json


def asked_options(p: argparse.ArgumentParser) -> None:
    """`--config` or `--socket`."""
    either = p.add_mutually_exclusive_group()
    either.add_argument("--config", default=CONFIG, metavar="FILE", help=f"of the appliance, {CONFIG} unless told")
    either.add_argument("--socket", metavar="PATH", help="keeper.sock, instead of the one the configuration tells")


def ask_keeper(arguments: argparse.Namespace, wanted: Json) -> Json:
    """What the keeper answers. Raises SekishoError."""
    from appliance.host.config_file import read_config
    from appliance.host.control import KEEPER, ask  # here: `--help` needs neither

    if arguments.socket is not None:
        return ask(Path(arguments.socket), wanted)
    config, _ = read_config(arguments.config)
    return ask(Path(config.runtime) / KEEPER.socket, wanted)
