"""What setting the machine's clock does to those who measure silence with it."""

from __future__ import annotations

import time

import pytest

from appliance.host.clock import AGREE, SetClock

HOUR = 3600 * 10**9
NEAR = 10**9


def set_by(step: int) -> SetClock:
    """A clock that took note of the machine's before that was set by so many ns."""
    lead = time.time_ns() - time.monotonic_ns() - step
    return SetClock(lead, lead)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_setting_is_told_once_with_its_size(step: int) -> None:
    clock = set_by(step)
    assert abs(clock.moved() - step) < NEAR
    assert clock.moved() == 0


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_only_where_it_was_set_back_is_there_something_to_wait_for(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = set_by(step)
    clock.moved()
    assert not clock.settled()
    monkeypatch.setattr("appliance.host.clock.SETTLED", 0)
    told = [clock.settled() for _ in range(3)]
    assert told == [step < 0, False, False]


def test_drift_is_no_setting() -> None:
    clock = set_by(NEAR)
    assert clock.moved() == 0


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_silence_is_measured_by_the_old_time_until_frames_bear_the_new(step: int) -> None:
    clock, now = set_by(step), time.time_ns()
    assert abs(clock.steady() - (now - step)) < NEAR
    clock.seen(now - step)  # read late: from before it was set
    assert abs(clock.steady() - (now - step)) < NEAR
    clock.seen(now)
    assert abs(clock.steady() - now) < NEAR
    assert abs(step) > AGREE
