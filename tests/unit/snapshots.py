"""Snapshots of the keeper, as it gives them, for tests of what is shown and counted."""

from __future__ import annotations

from typing import Any

NOW = 1_795_264_812.4
Json = dict[str, Any]


def port(name: str = "eth1", **more: object) -> Json:
    return {"name": name, "up": True, "frames": 300_121, "dropped": 0, "offloads": [], "problem": "", **more}


def status(**more: object) -> Json:
    """A status record of a sensor that watches."""
    return {
        "type": "status",
        "time": NOW - 12,
        "mode": "watching",
        "since": NOW - 4000,
        "frames": 300_120,
        "findings": 41,
        "incidents": 3,
        "interfaces": [port()],
        "learned": None,
        "missed": None,
        "unlearned": 0,
        "bytes": 31_200_210,
        "damaged": 3,
        "adequacy": {"readiness": "enough", "new": 0.0112, "watched": 28_800.0, "ready_in": 0.0},
        "latency": {"buckets": [[0.1, 0], [0.25, 39], [0.5, 41]], "count": 41, "sum": 7.5},
        "memory": 118_784_000,
        **more,
    }


def snapshot(**more: object) -> Json:
    """All is well."""
    return {
        "version": 1,
        "started": NOW - 4800,
        "now": NOW,
        "sensor": status(),
        "sensor_age": 12.2,
        "incidents": {"total": 0, "open": 0, "by_cause": {}, "open_by_cause": {}},
        "findings": 41,
        "enforcer": None,
        "response": None,
        "store": {"bytes": 1_200_000, "cap": 256 << 20, "dropped": 0},
        "problems": [],
        **more,
    }


def rules(**more: object) -> Json:
    """What the enforcer says where one lease is in force."""
    lease = {
        "id": "l-3",
        "step": "block-function",
        "source": "10.0.0.9",
        "target": "10.0.0.1",
        "reason": "x",
        "incident": "i-3-7",
    }
    return {
        "generation": 7,
        "bridge": False,
        "previous": 6,
        "trial": None,
        "until": 0,
        "healed": 1,
        "leases": [{**lease, "until": round((NOW + 1088) * 1e9)}],
        **more,
    }


def troubled() -> Json:
    """Everything at once."""
    return snapshot(
        sensor=status(
            interfaces=[port(), port("enp3s0f1", up=False, frames=1200, dropped=12, offloads=["rx-gro"], problem="it is gone")],
        ),
        incidents={"total": 3, "open": 3, "open_by_cause": {"security": 2, "fault": 1}},
        run=3,
        enforcer=rules(trial=8, until=round((NOW + 88) * 1e9)),
        response={"posture": "enforce", "blocks": 2},
        store={"bytes": 1_200_000, "cap": 256 << 20, "dropped": 9, "dropped_open": 2, "dropped_closed": 5, "dropped_findings": 2},
        reporter={
            "time": NOW,
            "destinations": [
                {"name": "siem", "kind": "syslog", "waiting": 12, "oldest": NOW - 3800, "dropped": 3, "last_sent": NOW - 4000},
                {"name": "duty", "kind": "mail", "waiting": 0, "oldest": None, "dropped": 0, "last_sent": NOW - 120},
                {"name": "usb", "kind": "file", "waiting": 0, "oldest": None, "dropped": 0, "last_sent": None},
            ],
        },
        problems=[{"what": "enp3s0f1: it is gone", "since": NOW - 112, "advice": "check the cable"}],
    )


def incident(**more: object) -> Json:
    return {
        "type": "incident", "id": "i-3-7", "opened": NOW - 800, "cause": "security", "state": "open",
        "title": "A client that was never here writes to a controller, which nobody has ever done here before", **more,
    }  # fmt: skip
