"""Several sensors tell the story that one would tell: every frame goes to the share that the kernel would give it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding
from appliance.detect.sharing import owner, partition_of
from appliance.host.files import open_capture
from appliance.incident.grouping import Grouping
from appliance.incident.whole import Whole
from appliance.learn.meaning.model import Model, derive
from appliance.packets.reader import batches
from appliance.pipeline import learn_session
from appliance.protocols.describe import describe
from tests.unit.shares import divided

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
LOOK = 1 << 16  # bytes of the capture that each share judges before the findings of all are told
Story = tuple[list[Finding], dict[tuple[str, ...], list[Finding]]]


def learned(path: Path) -> Model:
    def passes() -> Iterator[DecodedBatch]:
        state = DecodeState()
        with open_capture(path) as source:
            for batch in batches(source):
                yield decode(batch, state)

    return derive(learn_session(passes))


def told(model: Model, path: Path, shares: int) -> Story:
    """Findings in the order in which they are told, and the incidents they are grouped to."""
    partition = partition_of(model, shares)
    program = partition.program()
    detectors = [Detector(model, describe, lambda c, k=k: owner(partition, c) == k) for k in range(shares)]  # type: ignore[misc]
    states = [DecodeState() for _ in range(shares)]
    whole, grouping, findings = Whole(), Grouping(), list[Finding]()

    def tell(found: list[tuple[Finding, int]]) -> None:
        for finding, share in sorted(found, key=lambda each: each[0].time_ns):
            seen = whole.seen(finding, share)
            if seen is not None:
                findings.append(seen)
                grouping.add(seen)

    with open_capture(path) as source:
        for batch in batches(source, block=LOOK):
            parts = enumerate(divided(batch, program, shares))
            tell([(f, k) for k, part in parts if len(part) for f in detectors[k].judge(decode(part, states[k]))])
    tell([(f, k) for k, detector in enumerate(detectors) for f in detector.finish()])
    return findings, {key: incident.findings for key, incident in grouping.incidents.items()}


def places(findings: list[Finding]) -> list[tuple[object, ...]]:
    """What makes a finding, in an order that does not depend on which share told it first."""
    return sorted((f.frame or 0, f.time_ns, f.kind, f.src, f.dst, f.service, f.ranges, f.seen, f.score) for f in findings)


@pytest.mark.parametrize("case", ["modbus-attack", "modbus-scan", "enip-attack", "network-fault", "unknown-protocol-attack"])
def test_two_and_four_shares_tell_what_one_tells(case: str) -> None:
    model = learned(PCAPS / case / "train.pcap")
    findings, incidents = told(model, PCAPS / case / "test.pcap", 1)
    assert len(findings) > 10
    for shares in (2, 4):
        several, grouped = told(model, PCAPS / case / "test.pcap", shares)
        assert places(several) == places(findings)
        assert {key: places(found) for key, found in grouped.items()} == {key: places(found) for key, found in incidents.items()}
