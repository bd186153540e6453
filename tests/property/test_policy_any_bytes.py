"""Any bytes are a policy or one DocumentError in one line."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.policyfile import parse_policy
from appliance.errors import DocumentError

GOOD = (Path(__file__).parents[2] / "rules" / "modbus-plant.yaml").read_bytes()


def told(data: bytes) -> str:
    try:
        parse_policy("p.yaml", data, ZoneInfo)
    except DocumentError as error:
        return str(error)
    return ""


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    assert told(data).startswith("p.yaml")
    assert "\n" not in told(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 20), st.binary(max_size=6))
def test_a_bent_policy(at: int, size: int, put: bytes) -> None:
    assert "\n" not in told(GOOD[:at] + put + GOOD[at + size :])
