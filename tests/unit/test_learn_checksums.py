"""Checks at the end of messages are found by what they are, laid out as zero where right, and told where wrong."""

import zlib
from collections.abc import Callable
from functools import reduce

import numpy as np
import numpy.typing as npt
import pytest

from appliance.learn.baselines.codec import VERSION, baseline_digest, baseline_from, baseline_json
from appliance.learn.messages.checksums import Checksum, Way, find_checksum
from appliance.learn.messages.sample import WIDTH
from tests.evaluate.capture import changed, place
from tests.evaluate.detectors import Sekisho
from tests.evaluate.invented import Recipe, invented_plant
from tests.evaluate.strangers import crc16


def bitwise(polynomial: int, begin: int, raw: bytes) -> int:
    """A CRC of 16 bits, highest bit first, as the standards write it down."""
    state = begin
    for byte in raw:
        state ^= byte << 8
        for _ in range(8):
            state = (state << 1 ^ (polynomial if state & 0x8000 else 0)) & 0xFFFF
    return state


def arrays(messages: list[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    heads = np.zeros((len(messages), WIDTH), np.uint8)
    for i, raw in enumerate(messages):
        heads[i, : len(raw)] = list(raw[:WIDTH])
    return heads, np.array([len(raw) for raw in messages], np.int32)


def talk(check: Callable[[bytes], bytes], seed: int = 1) -> list[bytes]:
    """Messages of three lengths that begin with a mark, carry a number and end with a check."""
    random = np.random.default_rng(seed)
    bodies = [b"\x68\x68" + bytes([n & 255, n % 3]) + random.bytes(2 + 2 * (n % 3)) for n in range(300)]
    return [body + check(body) for body in bodies]


WAYS: dict[str, tuple[Callable[[bytes], bytes], Checksum]] = {
    "sum behind the mark": (lambda b: bytes([sum(b[2:]) & 255]), Checksum(Way.SUM, 1, True, rest=-2 * 0x68 & 255)),
    "sum of two bytes": (lambda b: (sum(b) & 0xFFFF).to_bytes(2, "little"), Checksum(Way.SUM, 2, False)),
    "complement": (lambda b: bytes([-sum(b) & 255]), Checksum(Way.LRC, 1, True)),
    "exclusive or": (lambda b: bytes([reduce(lambda x, y: x ^ y, b, 0)]), Checksum(Way.XOR, 1, True)),
    "modbus": (lambda b: crc16(b).to_bytes(2, "little"), Checksum(Way.CRC, 2, False, 0, 0x8005, True, True)),
    "xmodem": (lambda b: bitwise(0x1021, 0, b).to_bytes(2, "big"), Checksum(Way.CRC, 2, True, 0, 0x1021)),
    "behind the mark": (
        lambda b: bitwise(0x3D65, 0xFFFF, b[2:]).to_bytes(2, "big"),
        Checksum(Way.CRC, 2, True, 2, 0x3D65, False, True),
    ),
    "zip": (lambda b: zlib.crc32(b).to_bytes(4, "big"), Checksum(Way.CRC, 4, True, 0, 0x04C11DB7, True, True, 0xFFFFFFFF)),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_check_is_found_by_what_it_is_and_a_wrong_one_stays(name: str) -> None:
    check, expected = WAYS[name]
    messages = talk(check)
    heads, length = arrays(messages)
    found = find_checksum(heads, length)
    assert found == expected
    evened = found.evened(heads, length)
    rows = np.arange(len(messages))
    body = np.arange(WIDTH) < (length - found.width)[:, None]
    assert (evened == np.where(body, heads, 0)).all()
    for k in range(1, found.width + 1):
        wrong = heads.copy()
        wrong[rows, length - k] ^= 0x10
        assert (found.evened(wrong, length)[rows, length - k] == 0x10).all()
    at, right = found.told(messages[7], len(messages[7]))
    assert messages[7] == messages[7][:at] + right


def test_what_ends_with_data_a_constant_or_a_copy_of_few_values_has_no_check() -> None:
    nothing: list[Callable[[bytes], bytes]] = [lambda _: b"", lambda _: b"\x16", lambda b: b[3:4]]
    for end in nothing:
        assert find_checksum(*arrays(talk(end))) is None
    right = talk(WAYS["modbus"][0])
    assert find_checksum(*arrays(right[:40])) is None, "too few to tell"
    half = [raw if n % 2 else raw[:-1] + bytes([raw[-1] ^ 1]) for n, raw in enumerate(right)]
    assert find_checksum(*arrays(half)) is None


def test_what_is_too_short_or_too_long_for_its_check_stays_as_it_is() -> None:
    check = WAYS["zip"][1]
    heads, length = arrays([b"\x01\x02", bytes(range(200)) * 2, b""])
    assert (check.evened(heads, length) == heads).all()
    assert [check.told(raw, len(raw))[1] for raw in (b"\x01\x02", b"")] == [b"", b""]


def test_set_points_written_a_few_times_in_front_of_a_check_are_watched_and_so_is_the_check() -> None:
    """Seed 214 before: one kind of request, in which all behind the object was taken for free."""
    head, rest = invented_plant(Recipe(214)).split(0.6)
    detector = Sekisho()
    detector.learn(head)
    quiet = {cry.frame for cry in detector.detect(rest)}
    writes = [i for i, (_, raw) in enumerate(rest.frames) if (at := place(raw)) and raw[at.offset + 1] == 0x22]
    i = writes[len(writes) // 2]
    where = place(rest.frames[i][1])
    assert where is not None
    pay = rest.frames[i][1][where.offset :]
    other = Recipe(214).mend(pay[:7] + bytes([pay[7] + 1]) + pay[8:])
    broken = pay[:-1] + bytes([pay[-1] ^ 1])
    for raw, places in ((other, ((7, 8),)), (broken, ((len(pay) - 1, len(pay)),))):
        found = detector.detect(rest.with_changes({i: changed(rest.frames[i][1], where, 0, raw)}))
        assert [cry.ranges for cry in found if cry.frame == i + 1 and cry.frame not in quiet] == [places]
    told = [f for one in detector.incidents for f in one.findings if f.frame == i + 1]
    assert (told[0].seen, told[0].normal[0]) == (broken[-1:], pay[-1:]), "what is normal is the right check, not zero"


def test_a_baseline_with_a_check_is_of_the_newest_format_and_comes_back_with_it() -> None:
    detector = Sekisho()
    for seed, version in ((214, VERSION), (5, 3)):
        detector.learn(invented_plant(Recipe(seed)).split(0.3)[0])
        assert detector.model is not None
        head, data = baseline_json(detector.model.baseline)
        again = baseline_from(head, data)
        (learned,) = (one for port in again.services.values() for one in port.values())
        assert head["version"] == version
        assert (learned.structure.checksum is not None) is (version == VERSION)
        assert baseline_digest(*baseline_json(again)) == baseline_digest(head, data)
