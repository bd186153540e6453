"""`sekisho assets`: the devices a baseline knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.host.baselines import load_baseline
from appliance.host.oui import vendor
from appliance.report.assets import assets_csv, assets_json, assets_table
from appliance.report.inventory import baseline_inventory

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """List the assets on standard output, or write them to a file."""
    target = arguments.output
    out = None
    if target is None:
        out = Output()
    else:
        from appliance.host.writing import check_target

        check_target(target, [arguments.baseline])
    baseline, _ = load_baseline(arguments.baseline)
    rows = baseline_inventory(baseline, vendor)
    if arguments.format == "text":
        lines = list(assets_table(rows, arguments.lang, out.columns if out is not None else 100))
    else:
        lines = (assets_csv(rows) if arguments.format == "csv" else assets_json(rows)).splitlines()
    if out is None:
        from appliance.host.writing import write_whole

        write_whole(target, ("\n".join(lines) + "\n").encode())
        return 0
    out.lines(lines)
    out.flush()
    return 0
