"""Policies and generations of rules from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.decide.policyfile import parse_policy
from appliance.decide.records import MAX_BYTES as MAX_RULES
from appliance.decide.records import read_generation
from appliance.documents import MAX_BYTES
from appliance.host.plans import read_bytes, zone

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.decide.policy import Policy
    from appliance.decide.rules import Generation


def load_policy(path: str | Path) -> Policy:
    """A policy. Raises DocumentError that names file, line and fix."""
    return parse_policy(str(path), read_bytes(path, MAX_BYTES), zone)


def load_generation(path: str | Path) -> Generation:
    """Compiled rules, as `policy plan --output` writes them. Raises DocumentError or RulesError."""
    return read_generation(str(path), read_bytes(path, MAX_RULES))
