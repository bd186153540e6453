"""What the core may ask of the host: plain values, carried out in one loop. An unknown command is a crash."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.detect.finding import Finding
from appliance.incident.incident import Incident


@dataclass(frozen=True, slots=True)
class TellFinding:
    """A finding was made; `incident` is the id of the incident it belongs to."""

    finding: Finding
    incident: str


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """A bulletin: a new incident, without words yet (what, where, who)."""

    incident: Incident


Command = TellFinding | OpenIncident
