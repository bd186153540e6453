"""What a person or a program wants to know of the sensor: taken together from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.report.status import NOTHING_YET, SensorState

if TYPE_CHECKING:
    from appliance.host.sensor.sensor import Sensor


def state_of(sensor: Sensor, now: int) -> SensorState:
    """The sensor at `now` (ns since the epoch)."""
    watching, learning, read = sensor.watching, sensor.learning, sensor.read()
    school = learning if watching is None else None  # once it watches, learning only hands over what it has not judged
    told = watching or school
    return SensorState(
        now=now,
        mode="learning" if watching is None else "watching",
        frames=read.frames,
        incidents=len(watching.state.grouping.incidents) if watching is not None else 0,
        findings=watching.findings if watching is not None else 0,
        interfaces=sensor.interfaces.told(),
        packets=watching.excerpts.status() if watching is not None else None,
        learned=(int(school.progress.get("watched", 0)), school.spool.left_out) if school is not None else None,
        size=read.size,
        damaged=read.damaged,
        known=told.known if told is not None else NOTHING_YET,
        latency=sensor.out.latency.record(),
        memory=read.memory,
        since=sensor.since,
        unlearned=learning.spool.left_out if learning is not None else sensor.left_out,
        feed=sensor.out.feed.counts(),
        problem=watching.problem if watching is not None else "",
    )
