"""The command line in words. A verb's module is imported only when it runs, so that `--help` is quick."""

from __future__ import annotations

import argparse
from math import isfinite
from typing import NoReturn

import appliance
from appliance.cli.options import config_option, language_option
from appliance.cli.parser_live import live_verbs
from appliance.cli.parser_report import backup_verbs, report_verbs
from appliance.cli.parser_rules import enforcing_verbs, policy_verbs
from appliance.cli.parser_setup import setup_verb
from appliance.cli.parser_update import update_verbs
from appliance.errors import UsageError

_TOP = """\
examples:
  sekisho learn monday.pcap tuesday.pcap --baseline plant.baseline
  sekisho detect wednesday.pcap --baseline plant.baseline --report wednesday.html
  sekisho replay week.pcap --learn-for 8h
  sekisho baseline show plant.baseline
  sekisho assets list plant.baseline

exit codes: 0 nothing found, 1 incidents (diff: differences), 2 could not run"""

_LEARN = """\
Several captures may be named in any order. Captures that follow each other within a minute (rotated ones) are joined;
others are sessions of their own. The same captures always give the same baseline.

examples:
  sekisho learn monday.pcap --baseline plant.baseline
  sekisho learn ring_*.pcap.gz --baseline plant.baseline --replace
  sekisho learn new-machine.pcap --baseline plant.baseline --add"""

_DETECT = """\
Several captures are read as one stream, in the order of their first frames. "-" reads standard input.

examples:
  sekisho detect today.pcap --baseline plant.baseline
  sekisho detect today.pcap --baseline plant.baseline --lang ja --report today.html
  sekisho detect ring_*.pcap --baseline plant.baseline --format jsonl > today.jsonl
  tcpdump -i eth0 -w - -c 10000 | sekisho detect - --baseline plant.baseline

exit codes: 0 nothing found, 1 incidents, 2 could not run"""

_REPLAY = """\
Learns on the head of a capture, detects in the rest and tells the story; nothing is kept.

examples:
  sekisho replay week.pcap --learn-for 8h
  sekisho replay day.pcap --learn-frames 20000 --report day.html

exit codes: 0 nothing found, 1 incidents, 2 could not run"""

_SHOW = "example:\n  sekisho baseline show plant.baseline"
_MERGE = (
    "Any order and any grouping gives the same baseline.\n\n"
    "example:\n  sekisho baseline merge hall1 hall2 --output plant.baseline"
)
_DIFF = (
    "+ was added, - is gone, ~ changed.\n\nexample:\n  sekisho baseline diff last-year.baseline plant.baseline\n\n"
    "exit codes: 0 no difference, 1 differences, 2 could not run"
)
_PLAN = """\
examples:
  sekisho plan check rules/work-plans/*.yaml
  sekisho plan show rules/work-plans/example.yaml
  sekisho plan import team.ics --out plans.yaml --time-zone Asia/Tokyo --who 10.0.0.66 --assets 10.0.0.8/29 --may read,write
  sekisho detect today.pcap --baseline plant.baseline --work-plan plans.yaml"""
_ACCEPT = """\
Only what deviated in that incident is normal from then on; all else still alarms. It is kept in the baseline and merges.

examples:
  sekisho detect today.pcap --baseline plant.baseline --format jsonl > today.jsonl
  sekisho baseline accept plant.baseline today.jsonl i-7 --by "A. Sato" --why "new read list"
  sekisho baseline accept plant.baseline --list
  sekisho baseline accept plant.baseline --undo a-1b2c3d4e5f --by "A. Sato" --why "taken out again"
"""
_REVIEW = """\
Learning takes whatever it sees for normal. What stands on this list unconfirmed is never put into an allowlist.

examples:
  sekisho baseline review plant.baseline
  sekisho baseline review plant.baseline --confirm r-1b2c3d4e5f --by "A. Sato" --why "commissioning"

exit codes: 0 nothing open, 1 something open, 2 could not run"""
_FORGET = """\
What the device did until then does not count any more, unless it was seen to do it again since.

example:
  sekisho baseline forget plant.baseline --asset 10.0.0.11 --by "A. Sato" --why "CPU exchanged"
  sekisho learn after.pcap --baseline plant.baseline --add"""
_ASSETS = """\
examples:
  sekisho assets list plant.baseline
  sekisho assets export plant.baseline --format csv --output assets.csv"""

_LEARNED = "what `sekisho learn` or the running appliance wrote"
_RUN = """\
Runs until SIGTERM (exit code 0). SIGHUP reads the configuration anew; a bad one is refused in one line and the old one
goes on. Needs root, or CAP_NET_RAW and CAP_NET_ADMIN, to open the interfaces; what reads frames gives them up.

examples:
  sekisho run --config /etc/sekisho/sekisho.toml
  sekisho run --config sekisho.toml --check"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _add(verbs: argparse._SubParsersAction[_Parser], name: str, does: str, more: str, run: str) -> _Parser:
    head = does[0].upper() + does[1:] + "."
    p = verbs.add_parser(
        name, help=does, description=head, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.set_defaults(run=run)
    return p


def parser(verb: str = "") -> argparse.ArgumentParser:
    """All verbs. Each sets `run` to "module:function" of the room `cli`.

    verb   the one that is asked for, where that is known: for those of captures no other is made, which would take as long as
           reading twenty thousand frames
    """
    top = _Parser(
        prog="sekisho",
        description="Watches automation networks, learns what is normal, tells what is abnormal.",
        epilog=_TOP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"sekisho {appliance.__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, title="verbs")
    _captures(verbs)
    if verb in verbs.choices:
        return top
    _baseline(verbs)
    _assets(verbs)
    _plan(verbs)
    policy_verbs(verbs, _add)
    enforcing_verbs(verbs, _add)
    setup_verb(verbs, _add)
    live_verbs(verbs, _add)
    report_verbs(verbs, _add)
    backup_verbs(verbs, _add)
    update_verbs(verbs, _add)
    p = _add(verbs, "run", "watch interfaces: learn, then tell what is abnormal as it happens", _RUN, "run:run")
    config_option(p)
    p.add_argument("--check", action="store_true", help="only say whether the configuration is sound")
    return top


def _captures(verbs: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(verbs, "learn", "learn what is normal from captures", _LEARN, "learn:run")
    p.add_argument("capture", nargs="+", metavar="PCAP", help="pcap or pcapng, plain or gzip")
    p.add_argument("--baseline", required=True, metavar="B", help="the file to write")
    either = p.add_mutually_exclusive_group()
    either.add_argument("--add", action="store_true", help="add to the baseline that is there")
    either.add_argument("--replace", action="store_true", help="overwrite the baseline that is there")
    p = _add(verbs, "detect", "tell what is abnormal in captures", _DETECT, "detect:run")
    p.add_argument("capture", nargs="+", metavar="PCAP", help='pcap or pcapng, plain or gzip; "-" for standard input')
    p.add_argument("--baseline", required=True, metavar="B", help=_LEARNED)
    _story(p)
    p = _add(verbs, "replay", "learn on the head of a capture, detect in the rest", _REPLAY, "replay:run")
    p.add_argument("capture", nargs="+", metavar="PCAP", help="pcap or pcapng, plain or gzip")
    head = p.add_mutually_exclusive_group(required=True)
    head.add_argument("--learn-for", metavar="TIME", help="length of the head: 90s, 10m, 1h30m, 2d")
    head.add_argument("--learn-frames", metavar="N", type=_count, help="length of the head in frames")
    _story(p)


def _story(p: _Parser) -> None:
    p.add_argument("--format", choices=("text", "jsonl"), default="text", help="a story, or JSON lines (docs/records.md)")
    language_option(p)
    p.add_argument("--report", metavar="FILE.html", help="also write a page to open in a browser")
    p.add_argument(
        "--work-plan", metavar="FILE", action="append", default=[], help="planned work (rules/work-plans/); may be repeated"
    )
    p.add_argument(
        "--false-per-day", metavar="X", type=_rate, help="false incidents a day that are accepted; what brings more is muted"
    )


def _baseline(verbs: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(verbs, "baseline", "show, merge, compare, review or correct baselines", _SHOW, "")
    does = p.add_subparsers(dest="does", required=True, title="verbs")
    p = _add(does, "show", "say in words what was learned, and how complete it is", _SHOW, "baseline:run_show")
    p.add_argument("baseline", nargs="+", metavar="B", help=_LEARNED)
    p.add_argument("--all", action="store_true", help="every conversation, not only the busiest")
    p = _add(does, "merge", "write one baseline that holds all of them", _MERGE, "baseline:run_merge")
    p.add_argument("baseline", nargs="+", metavar="B", help=_LEARNED)
    p.add_argument("--output", required=True, metavar="NEW", help="the file to write")
    p.add_argument("--replace", action="store_true", help="overwrite the file that is there")
    _life(does)
    p = _add(does, "diff", "say what the second baseline has that the first has not, and reverse", _DIFF, "baseline:run_diff")
    p.add_argument("old", metavar="OLD", help="the baseline that is compared with")
    p.add_argument("new", metavar="NEW", help="the baseline that is looked at")


def _life(does: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(does, "accept", "make the deviations of one incident normal from now on", _ACCEPT, "accept:run")
    p.add_argument("baseline", metavar="B", help=_LEARNED)
    p.add_argument("findings", nargs="?", metavar="JSONL", help="what `detect --format jsonl` wrote")
    p.add_argument("incident", nargs="?", metavar="ID", help="the incident in it, such as i-7")
    either = p.add_mutually_exclusive_group()
    either.add_argument("--list", action="store_true", help="what was accepted, by whom, when and why")
    either.add_argument("--undo", metavar="ID", help="take one acceptance back")
    _signed(p)
    p = _add(does, "review", "list what looks hostile in the learning time, and confirm what is right", _REVIEW, "review:run")
    p.add_argument("baseline", metavar="B", help=_LEARNED)
    p.add_argument("--format", choices=("text", "jsonl"), default="text", help="lines for people, or JSON lines")
    p.add_argument("--confirm", metavar="ID", action="append", help="this one is right; may be repeated")
    _signed(p)
    p = _add(does, "forget", "learn one device anew, after it was exchanged", _FORGET, "accept:run_forget")
    p.add_argument("baseline", metavar="B", help=_LEARNED)
    p.add_argument("--asset", required=True, metavar="ADDRESS", help="the device, as `assets list` writes it")
    p.add_argument("--at", metavar="TIME", help="from when on it counts, as 2026-11-24T02:00:00+09:00; now unless told")
    _signed(p)


def _signed(p: _Parser) -> None:
    p.add_argument("--by", metavar="NAME", help="who says so")
    p.add_argument("--why", metavar="TEXT", help="and why")


def _plan(verbs: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(verbs, "plan", "check, show or import work plans", _PLAN, "")
    does = p.add_subparsers(dest="does", required=True, title="verbs")
    for name, text in (
        ("check", "say what is wrong in work plans"),
        ("show", "say work plans in words, with their next windows"),
    ):
        p = _add(does, name, text, _PLAN, f"plan:run_{name}")
        p.add_argument("plan", nargs="+", metavar="FILE", help="a work plan (YAML)")
    p = _add(does, "import", "write the events of a calendar as a work plan", _PLAN, "plan:run_import")
    p.add_argument("calendar", metavar="FILE.ics", help="iCalendar, as a calendar program exports it")
    p.add_argument("--out", required=True, metavar="FILE", help="the work plan to write")
    p.add_argument("--replace", action="store_true", help="overwrite the file that is there")
    p.add_argument("--time-zone", required=True, metavar="ZONE", help="such as Asia/Tokyo")
    for name in ("who", "assets", "may"):
        p.add_argument(f"--{name}", metavar="LIST", help=f"{name}, for events whose description does not say it")


def _assets(verbs: argparse._SubParsersAction[_Parser]) -> None:
    p = _add(verbs, "assets", "list or export the devices a baseline knows", _ASSETS, "")
    does = p.add_subparsers(dest="does", required=True, title="verbs")
    for name, text, form in (("list", "list the devices", "text"), ("export", "write the devices for a program", "csv")):
        p = _add(does, name, text, _ASSETS, "assets:run")
        p.add_argument("baseline", metavar="B", help=_LEARNED)
        p.add_argument("--format", choices=("text", "csv", "json"), default=form, help=f"{form} unless told")
        language_option(p, "the table")
        p.add_argument("--output", metavar="FILE", help="write to a file instead of standard output")


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of incidents above 0, such as 1 or 0.2")
    return value


def _count(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return value
