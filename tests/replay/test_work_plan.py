"""The same act of a lab capture is maintenance inside its plan and what it was outside."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from appliance.explain.planfile import parse_plans
from appliance.host.sensor.words import WordsWorker
from appliance.incident.incident import Cause, Incident
from appliance.incident.telling import told
from tests.replay.test_accept import ROOT, incidents, learned

ACTS = [
    ("modbus-attack", ("newcomer", "10.40.2.66"), "10.40.2.66", "10.40.2.0/24"),
    ("enip-attack", ("newcomer", "10.41.1.66"), "10.41.1.66", "10.41.1.0/24"),
]


def tell(incident: Incident, who: str, assets: str, start: datetime, may: str = "anything") -> Incident:
    end = start + timedelta(hours=1)
    text = (
        f"version: 1\ntime-zone: UTC\nplans:\n  - name: Upgrade\n    ticket: CHG-7\n    who: [{who}]\n    assets: [{assets}]\n"
        f"    may: [{may}]\n    when:\n      - from: {start:%Y-%m-%d %H:%M:%S}\n        to: {end:%Y-%m-%d %H:%M:%S}\n"
    )
    with WordsWorker() as worker:
        speak = lambda f: worker.words(f.payload, f.src == f.client, f.ranges)  # noqa: E731
        return told(incident, speak, plans=parse_plans("p", text.encode(), ZoneInfo))


@pytest.mark.parametrize(("case", "story", "who", "assets"), ACTS)
def test_the_same_act_is_maintenance_inside_its_plan_and_security_outside(
    case: str, story: tuple[str, ...], who: str, assets: str
) -> None:
    path = ROOT / "pcaps" / case
    incident = incidents(learned(path), path)[story]
    begin = datetime.fromtimestamp(incident.opened_ns // 1_000_000_000, UTC) - timedelta(minutes=5)
    done = tell(incident, who, assets, begin)
    assert done.cause is Cause.MAINTENANCE
    assert '"Upgrade" (ticket CHG-7)' in done.plan
    assert "Upgrade" in done.title
    later = tell(incident, who, assets, begin + timedelta(days=7))
    assert later.cause is Cause.SECURITY
    assert "next window" in later.plan
    assert f"{begin + timedelta(days=7):%Y-%m-%d %H:%M}" in later.plan
    reading = tell(incident, who, assets, begin, may="read")
    assert reading.cause is Cause.SECURITY
    assert reading.plan == "Not in any work plan."
