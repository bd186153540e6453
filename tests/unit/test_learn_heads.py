"""What stands in front of the data: flags that flap in an answer's head, values that all conversations share."""

import struct
from collections.abc import Callable

import numpy as np

from appliance.detect.finding import Kind
from appliance.learn.meaning.model import derive
from appliance.learn.messages.structure_codec import structure_from, structure_json
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Wire, judge, learn
from tests.unit.frames import SECOND

LATER = START + 3600 * SECOND
DEVICES = 6
Edit = Callable[[int, int, bytes], bytes]


def flagged(unit: int, kind: int, thing: int, flags: int, data: bytes = b"") -> bytes:
    """Flags in front of who, what and which."""
    return b"\x7e" + bytes([flags, unit, kind]) + struct.pack(">H", thing) + data


def run(polls: int, start: int, edit: Edit = lambda n, d, raw: raw, setpoints: tuple[int, ...] = (250, 400, 600)) -> Frames:
    """Devices asked for four objects each and told set-points; in every answer two bits of the flags flap."""
    wire, random = Wire(), np.random.default_rng(start % 1000)
    for n in range(polls):
        for d in range(DEVICES):
            at, device, thing = start + n * 500 * MILLI + d * 40 * MILLI, f"10.0.0.{11 + d}", 0x0107 + 0x40 * (n % 4)
            flags = int(random.integers(0, 4)) << 3
            data = random.integers(0, 256, 4, np.uint8).tobytes()
            if n % 8 == 5:
                ask = flagged(d + 1, 0x22, 0x0107, 0, struct.pack(">H", setpoints[int(random.integers(len(setpoints)))]))
                tell = flagged(d + 1, 0xA2, 0x0107, flags)
            else:
                ask, tell = flagged(d + 1, 0x11, thing, 0), flagged(d + 1, 0x91, thing, flags, data)
            wire.tcp(at, CENTRE, 40000 + d, device, 7001, edit(n, d, ask))
            wire.tcp(at + MILLI, device, 7001, CENTRE, 40000 + d, edit(n, d, tell))
    return wire.sorted()


def test_behind_flags_that_flap_the_head_of_an_answer_is_still_watched() -> None:
    model = derive(learn(run(200, START)))
    assert judge(model, run(80, LATER)) == []
    for at in (2, 3, 4, 5):  # who, what, which
        wrong = run(80, LATER, _changed(at))
        assert [(f.kind, f.ranges, f.src) for f in judge(model, wrong)] == [(Kind.UNKNOWN_VALUE, ((at, at + 1),), "10.0.0.12")]


def _changed(at: int) -> Edit:
    """One answer with another byte at a place."""

    def edit(n: int, d: int, raw: bytes) -> bytes:
        return raw[:at] + bytes([raw[at] ^ 0x20]) + raw[at + 1 :] if (n, d, raw[3]) == (40, 1, 0x91) else raw

    return edit


def test_of_few_values_that_all_share_one_may_be_new_to_a_device_but_not_to_all() -> None:
    """Too few writes of each device to have shown all set-points: any known one may come, no other."""
    baseline = learn(run(64, START))
    model = derive(baseline)
    assert judge(model, run(200, LATER)) == []
    wrong = run(200, LATER, lambda n, d, raw: raw[:6] + struct.pack(">H", 251) if (n, d, raw[3]) == (45, 2, 0x22) else raw)
    assert [(f.kind, f.ranges) for f in judge(model, wrong)] == [(Kind.UNKNOWN_COMMAND, ((7, 8),))]
    mixed = run(200, LATER, lambda n, d, raw: raw[:6] + b"\x01\x58" if (n, d, raw[3]) == (45, 2, 0x22) else raw)
    assert len(judge(model, mixed)) == 1  # both bytes are known, the number is not
    structure = next(iter(baseline.services[6, 7001].values())).structure
    assert any(t.shared.any() for t in structure.templates)
    again = structure_from(structure_json(structure))
    assert [t.shared.tolist() for t in again.templates] == [t.shared.tolist() for t in structure.templates]
