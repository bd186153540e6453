"""`sekisho plan`: check and show work plans, and take them over from a calendar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.errors import UsageError
from appliance.explain.workplan import WEEKDAYS, Once, Weekly, local_moment
from appliance.host.clock import now_ns
from appliance.host.plans import load_plans, read_bytes, zone
from appliance.host.writing import check_target, write_whole
from appliance.report.wording import plain

if TYPE_CHECKING:
    import argparse

    from appliance.explain.workplan import Plan, Window

MAX_CALENDAR = 4 << 20


def run_check(arguments: argparse.Namespace) -> int:
    """Say how many plans there are; whatever is wrong is an error."""
    out = Output()
    plans = load_plans(arguments.plan)
    out.line("1 plan, nothing wrong" if len(plans) == 1 else f"{len(plans)} plans, nothing wrong")
    out.flush()
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Plans in words, with their next windows."""
    out, now = Output(), now_ns()
    for plan in load_plans(arguments.plan):
        out.lines(_shown(plan, now))
    out.flush()
    return 0


def _shown(plan: Plan, now: int) -> list[str]:
    lines = [plain(plan.name + (f" ({plan.ticket})" if plan.ticket else ""))]
    mine = sorted(plan.hardware)
    lines.append(f"  who       {', '.join([*map(str, plan.who), *mine])}")
    lines.append(f"  assets    {', '.join([*map(str, plan.assets), *mine])}")
    lines.append(f"  may       {plain(', '.join([*sorted(plan.may), *sorted(plan.functions)]))}")
    if plan.services:
        lines.append(f"  services  {', '.join(sorted(plan.services))}")
    if plan.contact:
        lines.append(f"  contact   {plain(plan.contact)}")
    lines += [f"  when      {_window(plan, w)}" for w in plan.windows]
    start = plan.next(now)
    if plan.open(now):
        lines.append("  now       open")
    if start is not None:
        when = local_moment(start, plan.zone)
        lines.append(f"  next      {WEEKDAYS[when.weekday()].capitalize()} {when:%Y-%m-%d %H:%M}")
    return lines


def _window(plan: Plan, window: Window) -> str:
    match window:
        case Once(start, end):
            return f"{local_moment(start, plan.zone):%Y-%m-%d %H:%M} to {local_moment(end, plan.zone):%Y-%m-%d %H:%M} {plan.zone}"
        case Weekly():
            days = ", ".join(WEEKDAYS[d].capitalize() for d in sorted(window.days))
            since = f" from {window.since}" if window.since else ""
            until = f" until {window.until}" if window.until else ""
            return f"every {days} {window.start:%H:%M} to {window.end:%H:%M} {plan.zone}{since}{until}"


def run_import(arguments: argparse.Namespace) -> int:
    """Write the events of a calendar as a work plan."""
    from appliance.explain.calendar_plan import plan_text  # needs a library that only this verb needs

    out, target = Output(), Path(arguments.out)
    check_target(target, [arguments.calendar])
    if target.exists() and not arguments.replace:
        raise UsageError(f"{target}: there is a file already; name another --out, or overwrite it with --replace")
    given = {key: getattr(arguments, key) for key in ("who", "assets", "may") if getattr(arguments, key)}
    data = read_bytes(arguments.calendar, MAX_CALENDAR)
    text, count = plan_text(arguments.calendar, data, arguments.time_zone, zone, given, now_ns())
    write_whole(str(target), text.encode())
    load_plans([target])
    out.line(f"{plain(str(target))}: {count} plans from {plain(arguments.calendar)}; look at them with: sekisho plan show")
    out.flush()
    return 0
