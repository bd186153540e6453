"""Who is watched from when on, and why others are not."""

import pytest

from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.meaning.readiness import WATCH, Readiness, Reason, State, ready, share_watched, watched_from
from appliance.pipeline import learn_session
from appliance.report.learned import learned_lines
from tests.sim.plants import DEVICES, Private, Site
from tests.sim.thirty_days import split
from tests.sim.wire import DAY, HOUR, MINUTE, MONDAY, SECOND, Frames, Host, Link, Wire, passes

BEGIN = MONDAY + 7 * HOUR
STRANGER = "10.0.0.9"


@pytest.fixture(scope="module")
def day() -> Frames:
    """Three hours of polling, without anything else."""
    return split(Site(Private(), 3, poll=20 * SECOND, pages=0, writes=0, weekly=False).run(10 / 24), BEGIN)[1]


def learned(frames: Frames, hours: float, extra: Wire | None = None) -> Baseline:
    both = [*frames, *(extra.frames if extra else [])]
    return learn_session(passes(sorted((f for f in both if f[0] < BEGIN + hours * HOUR), key=lambda f: f[0])))


def states(baseline: Baseline) -> dict[tuple[str, str], Readiness]:
    return {(c.text().split()[0], c.text().split()[2]): r for c, r in ready(baseline, baseline.last).items()}


def asks(at: int, first: int, times: int, every: int) -> Wire:
    """A stranger that reads registers, each another one."""
    wire = Wire()
    link = Link(wire, Host.at(STRANGER), 50_000, Host.at("10.0.0.11"), Private.port).open(at)
    site = Site(Private(), 1)
    for n in range(times):
        said = site.tongue.read(n, site.devices[0], first + n, [1, 2, 3, 4])
        link.send(at + SECOND + n * every, True, said[0])
        link.send(at + SECOND + n * every + 1000, False, said[1])
    return wire


def test_what_is_polled_is_watched_from_an_hour_on(day: Frames) -> None:
    early, later = states(learned(day, 0.9)), states(learned(day, 1.2))
    assert {r.reason for r in early.values()} == {Reason.YOUNG}
    assert len(later) == DEVICES
    assert {(r.state, r.reason) for r in later.values()} == {(State.WATCHED, Reason.ENOUGH)}
    assert all(r.new <= 0.02 for r in later.values())


def test_it_is_told_from_when_on(day: Frames) -> None:
    baseline = learned(day, 0.5)
    found = ready(baseline, baseline.last)
    from_ns = watched_from(baseline, found)
    assert from_ns is not None
    assert from_ns == pytest.approx(BEGIN + WATCH, abs=30 * SECOND)
    assert share_watched(baseline, found) == 0
    then = learned(day, (from_ns - BEGIN + MINUTE) / HOUR)
    assert share_watched(then, ready(then, then.last)) == 1
    assert watched_from(then, ready(then, then.last)) == then.last


def test_what_came_on_one_occasion_is_not_knowable(day: Frames) -> None:
    found = states(learned(day, 2.5, asks(BEGIN + HOUR, 300, 4, SECOND)))[STRANGER, "10.0.0.11"]
    assert (found.state, found.reason, found.from_ns) == (State.UNKNOWABLE, Reason.ONCE, None)


def test_a_cycle_that_was_not_seen_twice_is_not_knowable(day: Frames) -> None:
    wire = asks(BEGIN + 10 * MINUTE, 300, 3, 100 * MINUTE)
    found = states(learned(day, 2.0, wire))[STRANGER, "10.0.0.11"]
    assert (found.state, found.reason) == (State.UNKNOWABLE, Reason.CYCLE)
    assert found.from_ns is not None
    assert found.from_ns == pytest.approx(BEGIN + 210 * MINUTE, abs=5 * SECOND)


def test_silence_up_to_now_counts_as_a_pause(day: Frames) -> None:
    baseline = learned(day, 1.5)
    assert {r.state for r in ready(baseline, baseline.last).values()} == {State.WATCHED}
    assert {r.reason for r in ready(baseline, baseline.last + DAY).values()} == {Reason.CYCLE}


def test_what_still_grows_is_not_learned(day: Frames) -> None:
    """A register more every minute: however many messages there are, the next brings another."""
    found = states(learned(day, 2.5, asks(BEGIN + MINUTE, 300, 140, MINUTE)))[STRANGER, "10.0.0.11"]
    assert found.state is State.LEARNING
    assert found.reason in (Reason.GROWING, Reason.NEW)


def test_merged_in_any_order_says_the_same(day: Frames) -> None:
    a, b = (learned(part, 2.0) for part in split(day, BEGIN + HOUR))
    assert ready(merge(a, b), b.last) == ready(merge(b, a), b.last)


def test_show_names_states_and_reasons(day: Frames) -> None:
    text = "\n".join(learned_lines("b", learned(day, 1.5, asks(BEGIN + HOUR, 300, 4, SECOND)), "0" * 64))
    assert f"watched: {DEVICES} of {DEVICES + 1} conversations" in text
    assert "not knowable yet: 1 that came on one occasion only" in text
    young = "\n".join(learned_lines("b", learned(day, 0.5), "0" * 64))
    assert "most of the plant will be watched from 2023-11-20 08:0" in young


def test_nothing_learned_is_nothing_watched() -> None:
    assert ready(Baseline(), 0) == {}
    assert watched_from(Baseline(), {}) is None
