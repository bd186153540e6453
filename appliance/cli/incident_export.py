"""`sekisho incident export`: the packets of an incident leave the appliance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.asking import ask_keeper
from appliance.cli.options import CONFIG
from appliance.cli.output import Output
from appliance.errors import UsageError
from appliance.host.config_file import read_config
from appliance.host.sensor.exporting import patiently

if TYPE_CHECKING:
    import argparse

    from appliance.host.control import Json


def run(arguments: argparse.Namespace) -> int:
    """Write the capture; 0 then. Raises SekishoError."""
    config, _ = read_config(arguments.config or CONFIG)
    bare = arguments.headers_only or not config.packets.payloads_leave_site
    done = patiently(lambda: _record(arguments), Path(config.directory), arguments.output, headers_only=bare)
    out = Output()
    out.line(f"{arguments.output}: {done.frames:,} frames, SHA-256 {done.sha256}")
    if bare:
        why = "as asked" if config.packets.payloads_leave_site else "payloads do not leave this site"
        out.line(f"headers only ({why}): payload bytes are zero, lengths and checksums are those of the wire")
        out.line(f"made from the excerpt with SHA-256 {done.original}")
    out.flush()
    return 0


def _record(arguments: argparse.Namespace) -> Json:
    """What the keeper knows of its packets. Raises SekishoError."""
    told = ask_keeper(arguments, {"verb": "incident", "id": arguments.incident})
    records: list[Json] = [record for record in told["others"] if record.get("type") == "packets"]
    if not records:
        raise UsageError(
            f"{arguments.incident}: no packets were kept of it; they are written within seconds, and not at all with"
            " [packets] memory_mib = 0"
        )
    return records[-1]
