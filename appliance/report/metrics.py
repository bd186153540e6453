"""Metrics of one gateway: one table of what there is, and their values from a snapshot.

Names follow Prometheus (base units, `_total` for what only grows). A gateway has at most thirty series besides the buckets of its
one histogram, whatever it watches: no address, no name of an interface, no register is ever a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from appliance.report.snapshot import CAUSES, POSTURES

if TYPE_CHECKING:
    from appliance.report.snapshot import Overview, Sensor

MOST_SERIES: Final = 30


@dataclass(frozen=True, slots=True)
class Metric:
    """One family: its name, what it is, its meaning in one line, its label."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    label: str = ""


_METRICS: Final = (
    Metric("sekisho_build_info", "gauge", "1; the version is its label", "version"),
    Metric("sekisho_clock_seconds", "gauge", "what the gateway takes the time to be, since the epoch"),
    Metric("sekisho_sensor_age_seconds", "gauge", "since the sensor told something"),
    Metric("sekisho_sensor_starts_total", "counter", "how often the sensor was started"),
    Metric("sekisho_enforcer_up", "gauge", "1 while the enforcer answers"),
    Metric("sekisho_watching", "gauge", "1 while it watches, 0 while it learns"),
    Metric("sekisho_interfaces_down", "gauge", "configured interfaces whose frames do not reach it"),
    Metric("sekisho_frames_total", "counter", "frames that reached the interfaces and passed the filter"),
    Metric("sekisho_frame_bytes_total", "counter", "bytes of the frames that were read, as long as they were on the wire"),
    Metric("sekisho_frames_dropped_total", "counter", "frames neither learned nor judged: the ring or the spool was full"),
    Metric("sekisho_frames_damaged_total", "counter", "frames with damage of any layer"),
    Metric("sekisho_learned_seconds", "gauge", "clean time that the baseline rests on"),
    Metric("sekisho_novelty_ratio", "gauge", "upper limit (95 %) of the share of a next block of time that would be new"),
    Metric("sekisho_findings_total", "counter", "findings kept and counted"),
    Metric("sekisho_finding_latency_seconds", "histogram", "from a frame to the finding about it"),
    Metric("sekisho_incidents_total", "counter", "incidents opened"),
    Metric("sekisho_incidents_open", "gauge", "incidents that are open, by what causes them", "cause"),
    Metric("sekisho_posture", "gauge", "0 incidents are told, 1 answers are counted (shadow), 2 answers are carried out"),
    Metric("sekisho_blocks_total", "counter", "leases put in force"),
    Metric("sekisho_leases", "gauge", "leases in force now"),
    Metric("sekisho_policy_generation", "gauge", "number of the rules in force"),
    Metric("sekisho_policy_trial_left_seconds", "gauge", "until rules on trial end by themselves, 0 where there are none"),
    Metric("sekisho_rules_mended_total", "counter", "times that rules changed by another program were laid out again"),
    Metric("sekisho_store_bytes", "gauge", "disk that incidents take"),
    Metric("sekisho_disk_free_ratio", "gauge", "share of the disk of the state that is free"),
    Metric("sekisho_problems", "gauge", "what is wrong with the appliance itself; `sekisho status` says it in words"),
)
METRICS: Final = {metric.name: metric for metric in _METRICS}


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of one family: pairs of the label's value ("" without one) and the number; a histogram has buckets and a sum."""

    metric: Metric
    values: tuple[tuple[str, float], ...]
    buckets: tuple[tuple[float, int], ...] = ()
    total: float = 0.0


def samples(now: Overview, version: str, free: float | None) -> list[Sample]:
    """What is known now; what is not known has no sample.

    free   share of the disk that is free, None where that cannot be said
    """
    numbers: dict[str, float | None] = {
        "sekisho_clock_seconds": now.now,
        "sekisho_sensor_age_seconds": now.age,
        "sekisho_sensor_starts_total": now.run or None,
        "sekisho_enforcer_up": float(now.rules is not None),
        "sekisho_findings_total": now.findings,
        "sekisho_incidents_total": now.opened,
        "sekisho_posture": POSTURES.index(now.posture) if now.posture else 0,
        "sekisho_blocks_total": now.blocks,
        "sekisho_store_bytes": now.store,
        "sekisho_disk_free_ratio": free,
        "sekisho_problems": len(now.problems),
    }
    if now.rules is not None:
        left = now.rules.until - now.now if now.rules.trial is not None else 0.0
        numbers |= {
            "sekisho_leases": sum(lease.until > now.now for lease in now.rules.leases),
            "sekisho_policy_generation": now.rules.generation,
            "sekisho_policy_trial_left_seconds": max(left, 0.0),
            "sekisho_rules_mended_total": now.rules.mended,
        }
    told = [Sample(METRICS["sekisho_build_info"], ((version, 1.0),))]
    told.append(Sample(METRICS["sekisho_incidents_open"], tuple((cause, float(now.open.get(cause, 0))) for cause in CAUSES)))
    if now.sensor is not None:
        numbers |= _of_sensor(now.sensor)
        total = Sample(
            METRICS["sekisho_finding_latency_seconds"], (("", now.sensor.told),), now.sensor.buckets, now.sensor.waited
        )
        told.append(total)
    told += [Sample(METRICS[name], (("", float(value)),)) for name, value in numbers.items() if value is not None]
    order = list(METRICS)
    return sorted(told, key=lambda sample: order.index(sample.metric.name))


def _of_sensor(sensor: Sensor) -> dict[str, float | None]:
    return {
        "sekisho_watching": float(sensor.mode == "watching"),
        "sekisho_interfaces_down": sum(not port.watched for port in sensor.ports),
        "sekisho_frames_total": sum(port.frames for port in sensor.ports),
        "sekisho_frame_bytes_total": sensor.size,
        "sekisho_frames_dropped_total": sensor.dropped,
        "sekisho_frames_damaged_total": sensor.damaged,
        "sekisho_learned_seconds": sensor.watched,
        "sekisho_novelty_ratio": sensor.new,
    }
