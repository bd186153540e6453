"""Learning while somebody attacks: who and what it was is on the list, and a clean plant's list is short."""

from pathlib import Path

import numpy as np
import pytest

from appliance.cli.review import listed
from appliance.decode.headers import DecodeState, decode
from appliance.host.files import open_capture
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.baselines.ledger import Signed
from appliance.learn.meaning.suspects import left_out, suspects
from appliance.packets.reader import batches
from appliance.pipeline import learn_session
from tests.unit.dialogue import START, Plant, learn, request
from tests.unit.frames import SECOND

ROOT = Path(__file__).resolve().parents[2]


def learned(case: str, part: str = "test") -> Baseline:
    def frames():  # type: ignore[no-untyped-def]
        state = DecodeState()
        with open_capture(ROOT / "pcaps" / case / f"{part}.pcap") as source:
            for batch in batches(source):
                yield decode(batch, state)

    return learn_session(frames)


@pytest.mark.parametrize(
    ("case", "attacker", "kinds"),
    [
        ("modbus-attack", "10.40.2.66", {"program", "write", "refused", "unanswered"}),
        ("modbus-attack", "10.40.2.21", {"write"}),
        ("modbus-scan", "10.40.4.66", {"refused", "unanswered"}),
        ("bacnet-attack", "10.42.1.121", {"write"}),
        ("enip-attack", "10.41.1.66", {"lone"}),
        ("enip-attack", "10.41.1.41", {"write", "control"}),
    ],
)
def test_what_an_attacker_did_while_learning_is_listed(case: str, attacker: str, kinds: set[str]) -> None:
    found = listed(learned(case))
    assert kinds <= {s.kind for s in found if s.client == attacker}, [(s.kind, s.client, s.words) for s in found]


@pytest.mark.parametrize("case", ["mixed-normal", "modbus-normal", "modbus-attack", "bacnet-attack", "enip-attack"])
def test_the_list_of_a_clean_time_is_short(case: str) -> None:
    found = listed(learned(case, "train"))
    assert len(found) <= 3, [(s.kind, s.client, s.server, s.words) for s in found]


def attacked(at: int = 300) -> Baseline:
    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        if (n, d, asks) != (at, 0, True):
            return payload
        return request(int.from_bytes(payload[:2], "big"), 1, 6, 700, 3)

    return learn(Plant(edit=edit).run(900).sorted())


def test_a_request_that_came_once_is_listed_also_without_words_and_left_out_until_confirmed() -> None:
    baseline = attacked()
    (one,) = suspects(baseline)
    assert (one.kind, one.server, one.count, one.content[7]) == ("request", Plant.address(0), 1, 6)
    assert left_out([one]).matches == {one.match}
    baseline.ledger.confirmed[one.id] = Signed(1, "A. Sato", "commissioning")
    (done,) = suspects(baseline)
    assert done.confirmed == Signed(1, "A. Sato", "commissioning")
    assert left_out([done]).matches == frozenset()


def test_an_item_keeps_its_name_when_baselines_merge_and_what_was_confirmed_stays() -> None:
    a, b = attacked(), learn(Plant(2).run(900, START + 86_400 * SECOND).sorted())
    (one,) = suspects(a)
    a.ledger.confirmed[one.id] = Signed(1, "A. Sato", "commissioning")
    for both in (merge(a, b), merge(b, a)):
        assert [(s.id, s.confirmed is not None) for s in suspects(both) if s.match == one.match] == [(one.id, True)]


def test_a_repeated_request_is_not_listed() -> None:
    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return request(int.from_bytes(payload[:2], "big"), 1, 6, 700, 3) if asks and n % 60 == 7 and not d else payload

    assert suspects(learn(Plant(edit=edit).run(900).sorted())) == []


def test_words_are_asked_for_a_bounded_number_of_messages() -> None:
    asked: list[bytes] = []

    def say(message: bytes, asks: bool) -> None:
        asked.append(message)

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        number = int(np.random.default_rng(n).integers(0, 5000))
        return request(int.from_bytes(payload[:2], "big"), 1, n % 100, number, number) if asks else payload

    found = suspects(learn(Plant(edit=edit).run(900).sorted()), say)
    assert len(asked) <= 4096
    assert len(found) <= 40
