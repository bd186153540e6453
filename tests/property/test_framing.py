"""Length fields of protocols nobody knows are found; cut messages are the messages sent, however they were cut on the way."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decode.columns import DecodedBatch
from appliance.decode.conversation import ConversationTable
from appliance.decode.cutter import Cutter
from appliance.decode.framing import WHOLE, Coding, Framing, chain, length_field, size_of
from appliance.decode.headers import DecodeState, decode
from appliance.decode.messages import Messages
from appliance.decode.sizes import sizes_of
from appliance.learn.messages.framing import learn_framing
from appliance.packets.batch import batch_of
from tests.unit.dialogue import MILLI, Wire, passes
from tests.unit.frames import ethernet, ipv4, tcp, udp

CLIENT, SERVER, PORT = ("10.0.0.1", 40000), ("10.0.0.2", 7001), (6, 7001)


def message(framing: Framing, size: int, random: np.random.Generator) -> bytes:
    """Random bytes of this size with the right number in the length field."""
    raw = bytearray(random.integers(0, 256, size, np.uint8).tobytes())
    number = length_field(size, framing)
    raw[framing.offset : framing.offset + len(number)] = number
    return bytes(raw)


def inferred(payloads: list[bytes]) -> Framing:
    heads = np.zeros((len(payloads), 32), np.uint8)
    for i, payload in enumerate(payloads):
        heads[i, : min(32, len(payload))] = np.frombuffer(payload[:32], np.uint8)
    return learn_framing(heads, np.array([len(p) for p in payloads], np.int64), payloads)


@st.composite
def framings(draw: st.DrawFn, codings: tuple[Coding, ...] = (Coding.FIXED,)) -> Framing:
    coding = draw(st.sampled_from(codings))
    width = draw(st.sampled_from([1, 2])) if coding is Coding.FIXED else 4
    offset = draw(st.integers(0, 14))
    big = draw(st.booleans()) if coding is Coding.FIXED and width > 1 else True
    return Framing(offset, width, big, draw(st.integers(0, offset + width + 8)), coding)


@given(framing=framings(), seed=st.integers(0, 1 << 32))
@settings(max_examples=60)
def test_the_length_field_of_a_made_up_protocol_is_found(framing: Framing, seed: int) -> None:
    random = np.random.default_rng(seed)
    most = 230 if framing.width == 1 else 900
    sizes = random.choice(random.integers(framing.end + framing.constant + 2, most, 12), 300)
    assert inferred([message(framing, int(size), random) for size in sizes]) == framing


@given(framing=framings(), seed=st.integers(0, 1 << 32))
@settings(max_examples=30)
def test_it_is_found_though_every_fourth_payload_holds_several_messages(framing: Framing, seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(framing.end + framing.constant + 2, 230 if framing.width == 1 else 600, (300, 3))
    payloads = [
        b"".join(message(framing, int(size), random) for size in row[: 3 if n % 4 == 0 else 1]) for n, row in enumerate(sizes)
    ]
    assert inferred(payloads) == framing


@given(framing=framings(codings=(Coding.SEPTETS, Coding.COUNTED)), seed=st.integers(0, 1 << 32))
@settings(max_examples=40)
def test_a_length_field_that_grows_with_its_number_is_found(framing: Framing, seed: int) -> None:
    random = np.random.default_rng(seed)
    least = max(framing.reach, framing.constant) + 4
    sizes = np.r_[random.integers(least, 120, 150), random.integers(framing.constant + 140, 900, 150)]
    payloads = [message(framing, int(size), random) for size in random.permutation(sizes)]
    assert inferred(payloads) == framing
    assert inferred([a + b for a, b in pairwise(payloads)][:100] + payloads) == framing


@given(framing=framings(codings=tuple(Coding)), data=st.binary(max_size=40), size=st.integers(0, 1 << 20))
def test_one_message_and_many_are_read_alike_and_what_is_written_is_read(framing: Framing, data: bytes, size: int) -> None:
    heads = np.zeros((1, 64), np.uint8)
    heads[0, : len(data)] = np.frombuffer(data, np.uint8)
    sizes, needed = sizes_of(heads, framing)
    one, head = size_of(data[: framing.reach], framing)
    if len(data) < head:  # zeros in place of what is missing: at least one byte more is asked for
        assert len(data) < int(needed.max())
    else:
        assert (one, head) == (int(sizes[0]), int(needed.max()))
    told = length_field(size, framing)
    if size >= framing.constant + framing.width and (framing.coding or size - framing.constant < 256**framing.width):
        written = bytes(framing.offset) + told
        # between two widths lie sizes that no field of varying width can say
        assert size_of(written, framing) == (size, len(written)) or told == b"\0"


@pytest.mark.parametrize("bad", [Framing(1, 4, True, 2, Coding.SEPTETS), Framing(1, 4, True, 2, Coding.COUNTED)])
def test_a_field_of_varying_width_without_an_end_is_no_length(bad: Framing) -> None:
    for field in (b"\xff\xff\xff\xff", b"\x80\x80\x80\x80"):
        assert chain(b"\x30" + field + bytes(20), bad) == ([], 0)


@pytest.mark.parametrize("seed", range(8))
def test_a_four_byte_length_whose_high_bytes_are_zero_is_understood_by_what_it_says(seed: int) -> None:
    """Several readings of such a field are equally right; what counts is that messages come out whole."""
    random = np.random.default_rng(seed)
    framing = Framing(4, 4, bool(seed % 2), 8)
    payloads = [message(framing, int(size), random) for size in random.integers(16, 500, 300)]
    found = inferred(payloads)
    assert found != WHOLE
    for a, b in pairwise(payloads):
        assert chain(a + b, found)[0] == [(0, len(a)), (len(a), len(a) + len(b))]


@pytest.mark.parametrize("seed", range(12))
def test_no_length_field_is_found_in_noise(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.choice(random.integers(4, 400, 10), 400)
    assert inferred([random.integers(0, 256, int(size), np.uint8).tobytes() for size in sizes]) == WHOLE


@pytest.mark.parametrize("seed", range(6))
def test_a_type_byte_that_goes_with_two_sizes_is_no_length_field(seed: int) -> None:
    """Two kinds of message whose codes differ by something else than their sizes do."""
    random = np.random.default_rng(seed)
    kinds = [(bytes([3]), 20), (bytes([16]), 45)]
    payloads = [code + random.integers(0, 256, size - 1, np.uint8).tobytes() for code, size in kinds for _ in range(100)]
    assert inferred(payloads) == WHOLE


@pytest.mark.parametrize(("share", "found"), [(0.98, True), (0.75, False)])
def test_a_length_field_must_explain_nearly_all_payloads(share: float, found: bool) -> None:
    random, framing = np.random.default_rng(4), Framing(2, 2, True, 4)
    sizes = random.integers(8, 600, 400)
    payloads = [message(framing, int(size), random) for size in sizes]
    spoiled = [p if random.random() < share else random.integers(0, 256, len(p), np.uint8).tobytes() for p in payloads]
    assert (inferred(spoiled) == framing) is found
    assert inferred(spoiled) in (framing, WHOLE)


def test_equal_sizes_say_nothing() -> None:
    assert inferred([bytes([0, 10]) + bytes(10)] * 200) == WHOLE


@dataclass(frozen=True)
class Cut:
    """A message that came out: its bytes (as far as the buffer has them), the frames it lay in, and whether framing held."""

    data: bytes
    frame: int
    last: int
    first: int
    broken: bool


def cut(payloads: list[bytes], framing: Framing, most: int = 32768) -> list[Cut]:
    """One direction of a TCP connection, cut; at most `most` frames a batch."""
    wire, table, cutter, out = Wire(), ConversationTable(), Cutter({PORT: framing}), []
    wire.open(0, *CLIENT, *SERVER)
    for n, payload in enumerate(payloads):
        wire.tcp((n + 1) * 10 * MILLI, *CLIENT, *SERVER, payload)
    for batch in passes(wire.sorted(), most)():
        m = cutter.cut(batch, table.assign(batch), table.conversations)
        for i in range(len(m)):
            data = batch.data[int(m.at[i]) : int(m.at[i]) + int(m.length[i])].tobytes()
            out.append(Cut(data, int(m.frame[i]) - 3, int(m.last_frame[i]) - 3, int(m.first[i]), bool(m.broken[i])))
    return out


FRAMING = Framing(2, 2, True, 4)


def body(size: int, mark: int = 0) -> bytes:
    """A message of `size` bytes; no byte of its filling can be taken for the length of another one."""
    return bytes([mark, 0xEE]) + (size - 4).to_bytes(2, "big") + b"\xff" * (size - 4)


@given(
    sizes=st.lists(st.integers(5, 300), min_size=2, max_size=12),
    cuts=st.lists(st.integers(1, 400), max_size=12),
    most=st.sampled_from([1, 2, 5, 1000]),
)
@settings(max_examples=150)
def test_messages_come_out_as_sent_however_the_segments_were_cut(sizes: list[int], cuts: list[int], most: int) -> None:
    sent = [body(size, n) for n, size in enumerate(sizes)]
    stream, segments = b"".join(sent), []
    for size in cuts:
        segments.append(stream[:size])
        stream = stream[size:]
    segments = [segment for segment in [*segments, stream] if segment]
    found = sorted(cut(segments, FRAMING, most), key=lambda c: (c.last, c.frame, c.first))
    assert [c.data for c in found] == sent
    assert not any(c.broken for c in found)
    for c in found:  # each tells where it began and where it ended
        place = segments[c.frame - 1][c.first :]
        assert c.data.startswith(place[: len(c.data)])
        assert c.last == c.frame or len(place) < len(c.data)


def test_a_joined_message_comes_before_those_that_follow_it_in_its_last_frame() -> None:
    sent = [body(5, n) for n in range(3)]
    stream = b"".join(sent)
    assert [c.data for c in cut([stream[:6], stream[6:]], FRAMING)] == sent


@given(sizes=st.lists(st.integers(5, 60), min_size=4, max_size=9), liar=st.integers(0, 2), lie=st.integers(0, 65535))
@settings(max_examples=200)
def test_a_wrong_length_costs_no_message_after_the_next(sizes: list[int], liar: int, lie: int) -> None:
    """The next message may be eaten by a length that claims exactly both; from then on all come out whole."""
    sent = [body(size, n) for n, size in enumerate(sizes)]
    spoiled = sent[liar][:2] + lie.to_bytes(2, "big") + sent[liar][4:]
    found = cut([*sent[:liar], spoiled, *sent[liar + 1 :]], FRAMING)
    right = [c.data for c in found if not c.broken]
    assert right[:liar] == sent[:liar]
    eats_next = lie == len(spoiled) + len(sent[liar + 1]) - 4
    following = sent[liar + 2 if eats_next else liar + 1 :]
    assert right[-len(following) :] == following
    if lie != len(spoiled) - 4 and not eats_next:  # and the liar is not taken for sound as a whole
        assert spoiled not in right


@given(lie=st.integers(0, 65535), most=st.sampled_from([1, 3, 1000]))
@settings(max_examples=60)
def test_batches_do_not_matter_to_messages_behind_a_lie(lie: int, most: int) -> None:
    sent = [body(size, size) for size in (12, 20, 12, 30, 12)]
    sent[1] = sent[1][:2] + lie.to_bytes(2, "big") + sent[1][4:]
    assert cut(sent, FRAMING, most) == cut(sent, FRAMING)


class _Singly(Cutter):
    """The same, with every payload that does not come out even looked at by itself."""

    def _surely_broken(self, *_: object) -> npt.NDArray[np.intp]:
        return np.zeros(0, np.intp)


def _bytes(cut: Messages, batch: DecodedBatch) -> list[tuple[object, ...]]:
    places = zip(cut.at.tolist(), cut.length.tolist(), strict=True)
    raw = [batch.data[at : at + length].tobytes() for at, length in places]
    columns = [getattr(cut, name).tolist() for name in Messages.__slots__ if name != "at"]
    return list(zip(raw, *columns, strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.binary(min_size=1, max_size=24)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_payloads_that_come_to_nothing_are_the_same_taken_together_or_singly(
    sent: list[tuple[int, bool, bytes]], most: int
) -> None:
    framing = Framing(1, 1, True, 2)
    frames, sequence = [], [1, 1, 1]
    for number, (flow, stream, payload) in enumerate(sent):
        body = bytes([9, len(payload) & 31, *payload]) if number % 3 else payload
        if stream:
            raw = ethernet(0x0800, ipv4(6, tcp(sequence[flow], body, 1000 + flow, 502)))
            sequence[flow] += len(body)
        else:
            raw = ethernet(0x0800, ipv4(17, udp(body, 1000 + flow, 502)))
        frames.append((1_000_000_000 + number, raw))
    results = []
    for kind in (Cutter, _Singly):
        cutter, table, state = kind({(6, 502): framing, (17, 502): framing}), ConversationTable(), DecodeState()
        rows: list[tuple[object, ...]] = []
        for at in range(0, len(frames), most):
            batch = decode(batch_of(frames[at : at + most], numbers=iter(range(at + 1, at + most + 1))), state)
            rows += _bytes(cutter.cut(batch, table.assign(batch), table.conversations), batch)
        results.append((rows, cutter.held))
    assert results[0] == results[1]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 1), st.binary(min_size=0, max_size=24), st.integers(-400, 1500), st.booleans()
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 12),
)
@settings(max_examples=300)
def test_what_stays_incomplete_is_given_up_by_the_frames_alone(sent: list[tuple[int, int, bytes, int, bool]], most: int) -> None:
    """Seconds pass, clocks go back, connections end, the other side speaks: wherever batches end, the messages are the same."""
    framing = Framing(1, 1, True, 2)
    frames, time = [], 5_000_000_000
    sequence = {(flow, back): 1 for flow in range(4) for back in range(2)}
    for flow, back, payload, later, ends in sent:
        time += later * 1_000_000
        body = bytes([9, len(payload) + (4 if later % 3 else 0), *payload])
        flags = 0x19 if ends and later % 5 == 0 else 0x18
        ports = (502, 1000 + flow) if back else (1000 + flow, 502)
        ends_of = (SERVER[0], CLIENT[0]) if back else (CLIENT[0], SERVER[0])
        raw = ethernet(0x0800, ipv4(6, tcp(sequence[flow, back], body, *ports, flags=flags), *ends_of))
        sequence[flow, back] += len(body)
        frames.append((time, raw))
    results = []
    for size in (len(frames), most):
        cutter, table, state = Cutter({(6, 502): framing}), ConversationTable(), DecodeState()
        table.know([((0, 0xFFFF_0000_0000 | 0x0A000002), (6, 502))])
        rows: list[tuple[object, ...]] = []
        for at in range(0, len(frames), size):
            batch = decode(batch_of(frames[at : at + size], numbers=iter(range(at + 1, at + size + 1))), state)
            rows += _bytes(cutter.cut(batch, table.assign(batch), table.conversations), batch)
        results.append((rows, {key: held.data for key, held in cutter.held.items()}))
    assert results[0] == results[1]
