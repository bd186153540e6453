"""An accepted change is normal with other numbers, at other times, and nothing beside it is."""

from dataclasses import replace

import pytest

from appliance.detect.accept import deviations
from appliance.detect.finding import Finding, Kind
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.baselines.ledger import Acceptance, Allowed, Ledger, Signed
from appliance.learn.meaning.model import derive
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Plant, Wire, answer, judge, learn, request
from tests.unit.frames import SECOND

SIGNED = Signed(1, "A. Sato", "new read list")
LATER = START + 86_400 * SECOND


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return learn(Plant().run(600).sorted())


def accepting(baseline: Baseline, findings: list[Finding]) -> Baseline:
    acceptance = Acceptance("a change", SIGNED, deviations(findings))
    return replace(baseline, ledger=Ledger({acceptance.id: acceptance}))


def asking(function: int, register: int, value: int, every: int = 7, first_number: int = 0, sport: int = 40000) -> Plant:
    """The plant, whose centre now and then asks device 0 for something else."""

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        if d or n % every or n < every:
            return payload
        number = int.from_bytes(payload[:2], "big")
        return request(number, 1, function, register, value) if asks else answer(number, 1, function, bytes(2 * value))

    return Plant(7, edit=edit, first_number=first_number, sport=sport)


def told(baseline: Baseline, frames: Frames) -> list[Finding]:
    return judge(derive(baseline), frames)


@pytest.mark.parametrize(("function", "register", "value"), [(3, 700, 4), (6, 100, 2), (43, 3584, 1)])
def test_a_new_request_is_normal_later_with_other_numbers_and_all_else_is_told(
    baseline: Baseline, function: int, register: int, value: int
) -> None:
    first = told(baseline, asking(function, register, value).run(40).sorted())
    assert {f.kind for f in first} & {Kind.UNKNOWN_COMMAND, Kind.UNKNOWN_COMBINATION}
    after = accepting(baseline, first)
    later = asking(function, register, value, every=3, first_number=20_000, sport=51_000)
    assert told(after, later.run(60, LATER).sorted()) == []
    for other in ((6, 700, 4), (3, 701, 4), (3, 701, 5), (6, 300, 2), (5, 3584, 1), (43, 3585, 1)):
        if other != (function, register, value):
            assert told(after, asking(*other).run(40, LATER).sorted()), other


def test_the_same_request_to_another_device_is_told(baseline: Baseline) -> None:
    after = accepting(baseline, told(baseline, asking(3, 700, 4).run(40).sorted()))

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return request(int.from_bytes(payload[:2], "big"), 2, 3, 700, 4) if (d, n, asks) == (1, 20, True) else payload

    found = told(after, Plant(3, edit=edit).run(40, LATER).sorted())
    assert [f.dst for f in found if f.src == CENTRE] == [Plant.address(1)]


def guest(act: bytes | None = None, start: int = START, number: int = 0) -> Frames:
    """The plant, and a second client that reads two registers of device 0 many times a second."""
    wire: Wire = Plant(5).run(40, start)
    wire.open(start + SECOND, "10.0.0.50", 45_000, Plant.address(0), 7001)
    for n in range(40):
        body = request(number + n, 1, 3, (n % 2) * 100, 2 + n % 2)
        wire.tcp(start + 2 * SECOND + n * 20 * MILLI, "10.0.0.50", 45_000, Plant.address(0), 7001, body)
        tell = answer(number + n, 1, 3, bytes([n] * 4))
        wire.tcp(start + 2 * SECOND + n * 20 * MILLI + MILLI, Plant.address(0), 7001, "10.0.0.50", 45_000, tell)
    if act is not None:
        wire.tcp(start + 3 * SECOND, "10.0.0.50", 45_000, Plant.address(0), 7001, act)
    return wire.sorted()


def test_a_new_client_is_accepted_with_what_it_asked_and_no_more(baseline: Baseline) -> None:
    first = told(baseline, guest())
    assert Kind.NEW_ASSET in {f.kind for f in first}
    after = accepting(baseline, first)
    assert told(after, guest(start=LATER, number=9000)) == []
    found = told(after, guest(request(77, 1, 6, 100, 1), start=LATER, number=9000))
    assert [(f.kind, f.src, f.payload[7]) for f in found] == [(Kind.UNKNOWN_COMMAND, "10.0.0.50", 6)]


def test_an_act_between_many_reads_of_a_new_client_is_told(baseline: Baseline) -> None:
    found = told(baseline, guest(request(77, 1, 6, 100, 1)))
    assert any(f.payload[7:8] == b"\x06" for f in found)


def test_another_hardware_address_is_accepted_and_a_third_one_is_told(baseline: Baseline) -> None:
    def moved(mac: bytes, start: int) -> Frames:
        wire = Plant(5).run(30, start)
        wire.udp(start + SECOND, Plant.address(0), 5000, CENTRE, 5001, b"x", mac=mac)
        return wire.sorted()

    first = [f for f in told(baseline, moved(b"\x02\x00\x99\x99\x99\x01", START)) if f.kind is Kind.ADDRESS_CHANGE]
    after = accepting(baseline, first)
    kinds = [{f.kind for f in told(after, moved(bytes([2, 0, 0x99, 0x99, 0x99, n]), LATER))} for n in (1, 2)]
    assert [Kind.ADDRESS_CHANGE in k for k in kinds] == [False, True]


def test_what_was_undone_alarms_again(baseline: Baseline) -> None:
    frames = asking(3, 700, 4).run(40).sorted()
    after = accepting(baseline, told(baseline, frames))
    assert told(after, frames) == []
    undone = Ledger(after.ledger.accepted, dict.fromkeys(after.ledger.accepted, SIGNED))
    assert told(replace(after, ledger=undone), frames) == told(baseline, frames)


def test_silence_is_accepted_for_its_conversation_only(baseline: Baseline) -> None:
    def without(gone: int) -> list[Finding]:
        frames = Plant(3, edit=lambda n, d, asks, payload: None if d == gone and n > 20 else payload).run(500).sorted()
        return told(after, frames)

    after = baseline
    first = [f for f in without(0) if f.kind is Kind.SILENCE]
    assert len(first) == 1
    after = accepting(baseline, first)
    assert [f for f in without(0) if f.kind is Kind.SILENCE] == []
    assert [f.src for f in without(1) if f.kind is Kind.SILENCE] == [Plant.address(1)]


def test_an_accepted_value_reaches_up_to_what_was_seen(baseline: Baseline) -> None:
    def value(seen: int) -> Allowed:
        normal = ((100).to_bytes(2, "big"), (140).to_bytes(2, "big"))
        return Allowed(
            "unknown-value", "10.0.0.1", "10.0.0.11", "tcp/7001", False, "", ((9, 11),), seen.to_bytes(2, "big"), normal
        )

    ledger = Ledger({"a": Acceptance("a jump", SIGNED, (value(600),))})
    accepted = derive(replace(baseline, ledger=ledger)).accepted
    assert [accepted.allows(value(n)) for n in (599, 600, 350, 601, 90)] == [True, True, True, False, False]
