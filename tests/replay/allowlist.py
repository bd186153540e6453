"""A capture of a case judged by rules compiled from its own learning: what the kernel would do with every request."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from appliance.decide.compiling import NOTHING, Compiled, compile_policy
from appliance.decide.judge import Outcome, judge
from appliance.decide.learned import Talk, talks_of
from appliance.decide.policy import Guarded, Policy
from appliance.decide.rules import Mode, Service
from appliance.decode.conversation import ConversationTable
from appliance.decode.headers import DecodeState, decode
from appliance.decode.names import address_text
from appliance.host.files import open_capture
from appliance.learn.meaning.model import derive
from appliance.learn.session import known_servers
from appliance.packets.reader import batches
from appliance.pipeline import learn_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.decode.columns import DecodedBatch
    from appliance.learn.baselines.baseline import Baseline
    from appliance.learn.meaning.suspects import LeftOut

PCAPS = Path(__file__).parents[2] / "pcaps"


def frames(path: Path) -> Iterator[DecodedBatch]:
    state = DecodeState()
    with open_capture(path) as source:
        for batch in batches(source):
            yield decode(batch, state)


def learned(case: str, capture: str = "train.pcap") -> Baseline:
    return learn_session(lambda: frames(PCAPS / case / capture))


def all_of_it(network: str, learned_in: tuple[str, ...] = ("all",)) -> Policy:
    """Everything in a network enforced, with what was learned let in."""
    return Policy("test", (Guarded("plant", "test:1", ip_network(network), Mode.ENFORCE, learned_in),))


def compiled(policy: Policy, baseline: Baseline, waits: LeftOut = NOTHING) -> tuple[Compiled, list[Talk]]:
    talks = talks_of(derive(baseline))
    return compile_policy(policy, talks, 0, left_out=waits), talks


@dataclass
class Judged:
    """Requests with a payload by (label, outcome), and episodes with a refused request."""

    requests: Counter[tuple[int, Outcome]] = field(default_factory=Counter)
    refused_in: set[str] = field(default_factory=set)
    passed_in: set[str] = field(default_factory=set)

    def of(self, label: int, outcome: Outcome) -> int:
        return self.requests[label, outcome]


def judged(case: str, c: Compiled, baseline: Baseline) -> Judged:
    """Every request of the test capture that carries something, judged as the kernel would."""
    labels: dict[int, tuple[int, str]] = {}
    with (PCAPS / case / "labels.csv").open() as file:
        for row in csv.reader(file, delimiter=";"):
            labels[int(row[0])] = (int(row[1]), row[-1])
    table, out = ConversationTable(), Judged()
    table.know(known_servers(baseline))
    for batch in frames(PCAPS / case / "test.pcap"):
        assigned = table.assign(batch)
        asks = assigned.request & (batch.payload_len > 0) & batch.ip & np.isin(batch.proto, (6, 17))
        for i in np.flatnonzero(asks).tolist():
            client = ip_address(address_text(int(batch.src_hi[i]), int(batch.src_lo[i])))
            server = ip_address(address_text(int(batch.dst_hi[i]), int(batch.dst_lo[i])))
            service = Service("tcp" if batch.proto[i] == 6 else "udp", int(batch.dport[i]))
            verdict = judge(c.generation, client, server, service, bytes(batch.payload_of(i)))
            label, step = labels.get(int(batch.frame[i]), (0, ""))
            out.requests[label, verdict.outcome] += 1
            if label == 1:
                (out.passed_in if verdict.passes else out.refused_in).add(step)
    return out
