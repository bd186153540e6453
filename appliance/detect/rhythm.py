"""Known requests at another pace or in another order than learned: what deviates, request by request.

Vector operations compare the gap of every request with its row's normal gaps, and its step with the learned ones; only what
deviates is looked at one by one. Deviations of a conversation that fall together are one *spell*, told once when there are more
of them than learning ever brought together (`learn.timing.pace`), until the conversation has been normal for a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.detect.alone import Alone
from appliance.detect.finding import Kind
from appliance.detect.holdups import HoldUps
from appliance.learn.timing.pace import PAUSE, Pace
from appliance.learn.timing.rhythm import gap_bin
from appliance.learn.timing.visits import Memory

if TYPE_CHECKING:
    from appliance.learn.timing.visits import Visits

MAX_KEPT = 256  # deviations of a spell that are remembered


class Sign(IntEnum):
    """How a request deviates."""

    LATE = 0
    EARLY = 1  # by less than half its period
    EXTRA = 2  # so early that it came in between
    ORDER = 3
    AGAIN = 4  # byte for byte what the connection carried before
    ALONE = 5  # without the request that it always followed


class Deviant(NamedTuple):
    """A request that deviates: place among the visits, sign, what to tell of it and how many deviations it stands for."""

    visit: int
    kind: Kind
    times: int
    absent: bool  # what is abnormal is that nothing came, not the frame that came at last


class _Deviations(NamedTuple):
    """Per visit: places of its row and of its conversation, whether it is judged, and what deviates.

    strange   its gap; order: its step; beyond: ns by which it is too far from its leader; again: its bytes are not new
    rush      it is one too many in ten seconds
    """

    place: npt.NDArray[np.intp]
    stream: npt.NDArray[np.intp]
    known: npt.NDArray[np.bool_]
    strange: npt.NDArray[np.bool_]
    order: npt.NDArray[np.bool_]
    beyond: npt.NDArray[np.int64]
    again: npt.NDArray[np.bool_]
    rush: npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Spell:
    times: list[tuple[int, Sign]] = field(default_factory=list)
    told: bool = False
    last: int = 0
    told_kinds: set[Kind] = field(default_factory=set)


@dataclass(slots=True)
class RhythmDetector:
    """Follows the conversations of one service under one structure.

    least   deviations from which on they are told at the earliest, where nothing is late
    """

    pace: Pace
    least: int = 1
    _spells: dict[int, _Spell] = field(default_factory=dict)
    _odd: Memory = field(default_factory=lambda: Memory(2))
    _holdups: HoldUps = field(init=False)
    _alone: Alone = field(init=False)

    def __post_init__(self) -> None:
        self._holdups, self._alone = HoldUps(self.pace), Alone(self.pace)

    def judge(
        self,
        v: Visits,
        watched: npt.NDArray[np.bool_],
        silence: npt.NDArray[np.int64],
        client: npt.NDArray[np.int64],
        held: npt.NDArray[np.int64],
    ) -> list[Deviant]:
        """What is worth a finding.

        watched   bool [visits]; silence int64 [visits]: ns from which on a pause of the conversation is told as a silence
        client    int64 [visits], who asks; held int64 [h, 3]: who waited for an answer, from when to when (ns)
        """
        if not len(self.pace.rows):
            return []
        d = self._deviations(v, watched, silence)
        place, known = d.place, d.known
        self._holdups.begin(v, d.stream, client, held)
        told: list[Deviant] = []
        for i in np.flatnonzero(d.strange | d.order | d.again | d.rush | (d.beyond > 0)).tolist():
            stream, strange = int(d.stream[i]), bool(d.strange[i])
            off = [self._sign(int(v.gap[i]), int(place[i]))] if strange else []
            off += [Sign.ORDER] if d.order[i] else []
            late = Sign.LATE in off
            if off and self._holdups.explain(v, place, known, i, stream, late, strange and not late):
                off = []
            if d.beyond[i] and not self._holdups.parted(v, place, known, i, stream, int(d.beyond[i])):
                off.append(Sign.ALONE)
            if d.rush[i]:
                told.append(Deviant(i, Kind.FLOOD, int(v.busy[i]), absent=False))
            if signs := off + [Sign.AGAIN] * int(d.again[i]):
                told += self._add(i, signs, int(v.time[i]), stream)
        self._holdups.take(v, place, known, len(v.row))
        return told

    def _deviations(self, v: Visits, watched: npt.NDArray[np.bool_], silence: npt.NDArray[np.int64]) -> _Deviations:
        p = self.pace
        place, learned = p.place(v.row)
        stream, followed = p.stream(v.stream)
        known = learned & watched & followed
        came, came_known = p.place(v.came)
        # what took a message's place is told by its bytes, a silence by itself, and a new connection begins anew
        begins = v.begins & p.lasting[stream]
        since, odd = self._from(v, ~learned | (v.pause > silence) | begins)
        pausing = (v.gap > PAUSE * p.middle[place]) & (v.gap <= p.pause[place])
        strange = (v.last >= since) & known & (v.gap >= 0) & p.timed[place] & ~pausing
        strange &= ~p.usual(place, gap_bin(np.maximum(v.gap, 0)))
        order = known & came_known & p.led[came] & ~p.led_to(v.came, v.row) & (v.pause <= p.window[stream]) & ~begins
        order &= p.in_step(came, place)
        beyond = np.where(v.gap >= 0, self._alone.judge(place, known, v.time, odd), 0)
        again, rush = known & v.again & p.unique[stream], known & (v.busy == p.rush[place])
        return _Deviations(place, stream, known, strange, order, beyond, again, rush)

    def _from(self, v: Visits, odd: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The last visit of each one's conversation that was odd, itself included: number and ns, -1 where there was none.

        odd   bool [visits]: learning did not know the request, or it ends a silence; from there on gaps count
        """
        groups = v.by_stream
        before, known = self._odd.recall(v.stream.take(groups.first))
        at, earlier = groups.latest(odd), np.where(known, before.T, -1)
        number, when = (np.where(at >= 0, x.take(at), groups.spread(e)) for x, e in zip((v.number, v.time), earlier, strict=True))
        self._odd.keep(v.stream, np.stack([number, when], axis=1), groups)
        return number, when

    def _sign(self, gap: int, place: int) -> Sign:
        if gap > self.pace.middle[place]:
            return Sign.LATE
        return Sign.EARLY if 2 * gap > self.pace.middle[place] else Sign.EXTRA

    def _add(self, visit: int, signs: list[Sign], time: int, stream: int) -> list[Deviant]:
        """A deviation of a conversation: told when there are enough of them in its window."""
        window = int(self.pace.window[stream])
        spell = self._spells.get(stream)
        if spell is None:
            spell = self._spells[stream] = _Spell(last=time)
        if abs(time - spell.last) > window:
            spell.told, spell.times = False, []
            spell.told_kinds.clear()
        spell.last = time
        if spell.told and (Sign.AGAIN not in signs or Kind.REPLAY in spell.told_kinds):
            return []  # nothing more can be told of this spell: a flood costs no lists
        spell.times = [(t, s) for t, s in spell.times if time - t <= window][-MAX_KEPT:] + [(time, s) for s in signs]
        seen = [s for _, s in spell.times]
        again = seen.count(Sign.AGAIN)
        if again >= 2 and Kind.REPLAY not in spell.told_kinds:
            spell.told_kinds.add(Kind.REPLAY)
            spell.told = True
            return [Deviant(visit, Kind.REPLAY, again, absent=False)]
        needed = self.pace.needed if Sign.LATE in seen else max(self.pace.needed, self.least)
        if spell.told or (len(seen) - again < needed and Sign.ALONE not in signs):
            return []
        spell.told = True
        late = Sign.LATE in signs  # then what should have come before it is what is wrong
        return [Deviant(visit, Kind.PERIOD_CHANGE if late else _kind(seen), len(seen), absent=late)]


def _kind(seen: list[Sign]) -> Kind:
    """What a spell is called by its deviations."""
    if {Sign.ORDER, Sign.EXTRA, Sign.ALONE} & set(seen):
        return Kind.WRONG_ORDER
    return Kind.PERIOD_CHANGE
