"""The configuration of the daemon: text -> `Config`, strictly. No file is opened here; a file a table.

[capture]
interfaces = ["eth1"]          # which are watched; they may come later, go and come back
cores = 1                      # so many processes judge what comes, see docs/cores.md
ring_mib = 64                  # memory of the ring of each, one a core
latency_ms = 500               # how often it is looked at: less is quicker and costs more CPU
promiscuous = true
offloads = "off"               # receive offloads: "off" switches them off, "check" only says so
ignore = ["not port 22"]       # frames left out, see docs/cli.md; or
program = "/etc/sekisho/f.bpf" # ... what `tcpdump -ddd FILTER` wrote

[learning]
for = "8h"                     # without it: until the baseline is adequate
survey = "10m"                 # what structures are inferred from
spool_mib = 512                # disk for frames that wait to be learned

[packets]
memory_mib = 16                # the last frames, kept in memory for the packets of an incident; 0 keeps none
keep_mib = 256                 # disk for all of them; the oldest go first
before = "10s"                 # how long before and after a finding
after = "5s"
payloads_leave_site = true     # false: `incident export` gives headers only

[state]
directory = "/var/lib/sekisho"
runtime = "/run/sekisho"       # where its sockets are; without it: in the directory
store_mib = 256                # disk for incidents; beyond it the oldest closed ones go

[enforce]                      # only where incidents are answered, see docs/enforcement.md
policy = "/etc/sekisho/policy.yaml"
posture = "observe"            # or "shadow": checked and counted, or "enforce": done
bridge = false
operators = ["sato"]           # who may change rules besides root
per_hour = 12                  # leases an hour at most
longest = "1h"                 # the longest of them

[output]
language = "en"                # or "ja"
status_every = "60s"

[metrics]
listen = "127.0.0.1:9469"      # where Prometheus scrapes, or "" for nowhere

[report]                       # only where incidents leave the site, see docs/reporting.md
redact = []                    # "addresses", "values": what does not leave

[plans]
files = ["/etc/sekisho/plans.yaml"]   # work plans; what is in one is maintenance

[report.to.siem]               # any name; kind is "syslog", "webhook", "mail" or "file"
kind = "syslog"
host = "siem.example"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

from appliance.config.capture import Capture
from appliance.config.enforce import Enforce
from appliance.config.learning import Learning
from appliance.config.metrics import Metrics
from appliance.config.output import Output
from appliance.config.packets import Packets
from appliance.config.plans import read_plans
from appliance.config.report import Report
from appliance.config.table import INTERFACE, Table, duration
from appliance.errors import UsageError

__all__ = ["INTERFACE", "Capture", "Config", "Enforce", "Learning", "Metrics", "Output", "Packets", "duration", "parse_config"]

MAX_TEXT = 256 << 10  # characters of a configuration


@dataclass(frozen=True, slots=True)
class Config:
    """All of it.

    directory  where state is kept: whole path
    runtime    where the sockets of the processes are: whole path
    enforce    None where there is no such table: then nothing is ever answered
    store_bytes   disk that incidents may use
    plans      files of work plans: whole paths
    report     None where there is no such table: then nothing leaves the site
    """

    capture: Capture
    directory: str
    runtime: str
    learning: Learning = field(default_factory=Learning)
    output: Output = field(default_factory=Output)
    enforce: Enforce | None = None
    packets: Packets = field(default_factory=Packets)
    metrics: Metrics = field(default_factory=Metrics)
    store_bytes: int = 256 << 20
    report: Report | None = None
    plans: tuple[str, ...] = ()


def parse_config(text: str, name: str) -> Config:
    """The configuration that `text` holds; `name` is what messages call it. Raises UsageError in one line."""
    if len(text) > MAX_TEXT:
        raise UsageError(f"{name}: longer than {MAX_TEXT >> 10} KiB; it is no configuration of ours")
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: {error}; see docs/cli.md for the form") from error
    except RecursionError as error:
        raise UsageError(f"{name}: nested too deeply; see docs/cli.md for the form") from error
    top = Table(name, "", plain)
    answers = "enforce" in plain
    names = ("capture", "learning", "state", "output", "packets", "enforce", "metrics")
    capture, learning, state, output, packets, enforce, metrics = (top.table(key) for key in names)
    report, plans = top.table("report"), top.table("plans")
    top.end()
    watched = Capture.read(capture)
    directory = state.path("directory")
    runtime = state.path("runtime", directory)
    store = state.number("store_mib", 256, 4, 1 << 16) << 20
    config = Config(
        watched,
        directory,
        runtime,
        learning=Learning.read(learning),
        output=Output.read(output),
        packets=Packets.read(packets),
        enforce=Enforce.read(enforce) if answers else None,
        metrics=Metrics.read(metrics),
        store_bytes=store,
        report=Report.read(report) if "report" in plain else None,
        plans=read_plans(plans),
    )
    for table in (capture, learning, state, output, packets, enforce, metrics, report, plans):
        table.end()
    return config
