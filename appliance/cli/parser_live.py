"""The command line of the running appliance: its processes and what its keeper is asked."""

from __future__ import annotations

import argparse

from appliance.cli.asking import asked_options
from appliance.cli.options import CONFIG, Add, Verbs, config_option, language_option

_INCIDENT = """\
examples:
  sekisho incident list
  sekisho incident list --state all --format jsonl
  sekisho incident show i-3-7
  sekisho incident export i-3-7 --output i-3-7.pcap
  sekisho incident close i-3-7 --by "A. Sato" --note "service technician, ticket 4711"

exit codes of list: 0 none, 1 incidents, 2 could not be asked"""
_STATUS = """\
Shows whether it learns or watches and how far, what it lost, open incidents, rules and leases, and what is wrong with advice.

examples:
  sekisho status
  sekisho status --lang ja
  sekisho status --format json

exit codes: 0 all is well, 1 something needs attention, 2 could not be asked"""
_DOCTOR = """\
Captures are judged as they are; without captures the running appliance and its ports are looked at (root sees most).

examples:
  sekisho doctor monday.pcap
  sekisho doctor --config /etc/sekisho/sekisho.toml --seconds 30 --lang ja

exit codes: 0 all fine, 1 problems, 2 could not run"""
_WATCH = """\
Learning ends by itself when the baseline is adequate, or after [learning] for. This ends it now; it is refused where nothing
was learned. What was not seen yet will alarm.

example:
  sekisho watch --by "A. Sato\""""
_PROCESS = """\
`sekisho run` starts all processes of the appliance; this starts one of them alone, for an init system.

example:
  sekisho {name} --config /etc/sekisho/sekisho.toml"""


def live_verbs(verbs: Verbs, add: Add) -> None:
    """Incidents of the running appliance, and its processes one by one."""
    p = add(verbs, "incident", "list, show, export or close the incidents of the running appliance", _INCIDENT, "")
    incident_verbs(p.add_subparsers(dest="does", required=True, title="verbs"), add)
    p = add(verbs, "status", "show on one screen how the running appliance fares", _STATUS, "status:run")
    p.add_argument("--format", choices=("text", "json"), default="text", help="a screen for people, or one JSON object")
    language_option(p)
    asked_options(p)
    p = add(verbs, "doctor", "judge whether a mirror port shows what it should", _DOCTOR, "doctor:run")
    p.add_argument("capture", nargs="*", metavar="PCAP", help='pcap or pcapng, plain or gzip; "-" for standard input')
    p.add_argument("--config", metavar="FILE", help=f"of the appliance, {CONFIG} unless told")
    p.add_argument("--seconds", type=_seconds, default=10.0, metavar="S", help="look at the ports for so long, 10 unless told")
    p.add_argument("--format", choices=("text", "jsonl"), default="text", help="lines for people, or JSON lines")
    language_option(p)
    p = add(verbs, "watch", "end learning: watch with what is learned so far", _WATCH, "incident:run_watch")
    p.add_argument("--by", required=True, metavar="NAME", help="who says so")
    asked_options(p)
    for name, does in (
        ("opener", "run the process that opens the interfaces (CAP_NET_RAW, CAP_NET_ADMIN)"),
        ("sensor", "run the process that learns and watches (no privilege)"),
        ("keeper", "run the process that stores incidents and answers (no privilege)"),
    ):
        p = add(verbs, name, does, _PROCESS.format(name=name), f"process:run_{name}")
        config_option(p)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return value


def incident_verbs(does: Verbs, add: Add) -> None:
    """list, show, close."""
    p = add(does, "list", "the latest incidents", _INCIDENT, "incident:run_list")
    p.add_argument("--state", choices=("open", "closed", "all"), default="open", help="open unless told")
    p.add_argument("--limit", type=int, choices=range(1, 501), default=50, metavar="N", help="at most so many, 50 unless told")
    _told(p)
    p = add(does, "show", "one incident with its findings", _INCIDENT, "incident:run_show")
    p.add_argument("incident", metavar="ID", help="as `incident list` writes it, such as i-3-7")
    _told(p)
    p = add(does, "export", "write the packets of an incident as a capture", _INCIDENT, "incident_export:run")
    p.add_argument("incident", metavar="ID", help="as `incident list` writes it, such as i-3-7")
    p.add_argument("-o", "--output", required=True, metavar="FILE.pcap", help="the file to write")
    p.add_argument("--headers-only", action="store_true", help="no payloads, also where they may leave the site")
    asked_options(p)
    p = add(does, "close", "say that an incident is done", _INCIDENT, "incident:run_close")
    p.add_argument("incident", metavar="ID", help="as `incident list` writes it, such as i-3-7")
    p.add_argument("--by", required=True, metavar="NAME", help="who says so")
    p.add_argument("--note", default="", metavar="TEXT", help="what it was")
    asked_options(p)


def _told(p: argparse.ArgumentParser) -> None:
    p.add_argument("--format", choices=("text", "jsonl"), default="text", help="lines for people, or JSON lines")
    language_option(p)
    asked_options(p)
