"""Few writes show what is closed where conversations draw from the same values; what ends a message tells no longer one."""

import numpy as np

from appliance.learn.messages.sample import WIDTH, Sample
from appliance.learn.messages.templates import learn_tree

NOTHING = np.zeros(WIDTH, bool)


def sample(rows: list[tuple[int, bytes]]) -> Sample:
    """Messages as (conversation, bytes), in time order."""
    heads = np.zeros((len(rows), WIDTH), np.uint8)
    for i, (_, raw) in enumerate(rows):
        heads[i, : len(raw)] = list(raw)
    stream = np.array([stream for stream, _ in rows], np.int32)
    return Sample(heads, np.array([len(raw) for _, raw in rows], np.int32), stream, stream.astype(np.int64), stream)


def writes(values: list[int], rounds: int) -> list[tuple[int, bytes]]:
    """Ten devices that are told one of the values in turn; three of them have a longer name in front of it."""
    random = np.random.default_rng(4)
    rows = []
    for _ in range(rounds):
        for device in range(10):
            name = b"\x31\x30" if device >= 7 else b""
            rows.append((device, b"\x22" + name + int(random.choice(values)).to_bytes(2, "big")))
    return rows


def test_a_set_point_of_few_writes_is_shared_also_where_others_have_a_name_in_its_place() -> None:
    """Some five writes of each: four values are not taken for free, a value that was never the same is."""
    few = learn_tree(sample(writes([250, 400, 600, 700], 6)), NOTHING, answer=False)
    assert few.open is not None
    assert few.shared is not None
    assert not few.open[:3].any()
    assert few.shared[1:3].all()
    free = learn_tree(sample(writes(list(range(0, 65536, 257)), 6)), NOTHING, answer=False)
    assert free.open is not None
    assert free.open[1:3].all()


def test_in_too_few_writes_nothing_is_known_to_be_shared() -> None:
    tree = learn_tree(sample(writes([250, 400, 600, 700], 3)), NOTHING, answer=False)
    assert tree.open is not None
    assert tree.shared is not None
    assert not tree.shared.any()


def test_a_check_that_is_zero_does_not_close_what_is_data_in_longer_messages() -> None:
    """Values of six bytes in all messages seen: what stands in the place of their check in longer ones is not known."""
    random = np.random.default_rng(5)
    pushed = sample([(0, b"\x42" + random.bytes(6) + b"\0") for _ in range(60)])
    with_check, without = (learn_tree(pushed, NOTHING, answer=True, end=end).open for end in (1, 0))
    assert with_check is not None
    assert without is not None
    assert np.flatnonzero(with_check[:12]).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert np.flatnonzero(without[:12]).tolist() == [1, 2, 3, 4, 5, 6]
