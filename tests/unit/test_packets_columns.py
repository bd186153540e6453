import dataclasses

import numpy as np

from appliance.decode import columns
from appliance.packets import schema
from appliance.packets.batch import Arena, PacketBatch, batch_of
from appliance.packets.gather import equal_bytes
from tests.unit.frames import decoded, segment


def test_a_batch_has_exactly_the_columns_of_the_table_and_then_its_buffer() -> None:
    names = [field.name for field in dataclasses.fields(PacketBatch)]
    assert names == [*(column.name for column in schema.COLUMNS), "data", "used", "arena"]
    batch = batch_of([(1, b"abc"), (2, b"de")])
    for column in schema.COLUMNS:
        values = getattr(batch, column.name)
        assert (values.dtype, values.shape) == (np.dtype(column.dtype), (2,)), column.name


def test_a_decoded_batch_has_exactly_the_columns_of_its_table() -> None:
    names = [field.name for field in dataclasses.fields(columns.DecodedBatch)]
    assert names == ["packets", *(column.name for column in columns.COLUMNS)]
    batch = decoded([segment(1, b"x"), b"short"])
    for column in columns.COLUMNS:
        values = getattr(batch, column.name)
        assert (values.dtype, values.shape) == (np.dtype(column.dtype), (2,)), column.name


def test_every_damage_has_a_text() -> None:
    assert set(columns.TEXTS) == set(columns.Damage)


def test_the_arena_gives_room_until_it_is_full() -> None:
    data = np.zeros(1024, np.uint8)
    arena = Arena(data, 100)
    assert arena.put(b"abc") == 100
    assert arena.put(b"de") == 103
    assert data[100:105].tobytes() == b"abcde"
    assert arena.put(bytes(2000)) == -1
    assert arena.put(b"f") == 105


def test_equal_bytes_compares_each_pair_over_its_own_length() -> None:
    generator = np.random.default_rng(7)
    data = generator.integers(0, 3, 4096, dtype=np.uint8)
    data[2000:2100] = data[100:200]
    first = generator.integers(0, 1900, 400)
    second = np.concatenate([first[:200], generator.integers(0, 1900, 200)])
    first, second = np.append(first, [100, 100]), np.append(second, [2000, 2000])
    length = np.append(generator.integers(0, 40, 400), [100, 101])
    data[2100] = data[200] + 1
    wanted = [data[a : a + n].tobytes() == data[b : b + n].tobytes() for a, b, n in zip(first, second, length, strict=True)]
    assert equal_bytes(data, first, second, length).tolist() == wanted
    assert wanted[-2:] == [True, False]
    assert 0 < sum(wanted[200:400]) < 200
