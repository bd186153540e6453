"""What is found ahead in a process image is what would be found in it anew, and counts for that image only."""

import json
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from appliance.cli.__main__ import main
from appliance.host.baselines import load_baseline, save_baseline
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.numbers import prepared
from appliance.learn.numbers.image import Image, RowImage
from appliance.learn.numbers.prepared import Prepared, mark_of, prepare, prepared_bytes, prepared_from, recall
from appliance.learn.numbers.process import ProcessModel, process_model

N = 1500


def image(factor: float = 2.0) -> Image:
    """One row whose messages carry a level that wanders, one that follows it, and a switch."""
    noise = np.random.default_rng(7).normal(0, 1, N)
    level = 100 + 20 * np.sin(np.arange(N) / 40) + np.convolve(noise, np.ones(30) / 10, "same")
    follows = factor * level + 0.01 * np.random.default_rng(8).normal(0, 1, N)
    switch = (np.arange(N) // 50 % 2).astype(np.uint8)
    singles = np.stack([level, follows], axis=1).astype(">f4").view(np.uint8).reshape(N, 8)
    data = np.concatenate([singles, switch[:, None]], axis=1)
    return Image({((6, 502), "x", 9): RowImage(10, 2 * np.arange(N, dtype=np.int64), data, 5, False)})


def same(a: ProcessModel, b: ProcessModel) -> bool:
    """Equal to the last bit, arrays included."""
    ranges = [(r.low.tobytes(), r.high.tobytes()) for m in (a, b) for r in m.relations]
    bare = [[astuple(replace(r, low=np.zeros(0), high=np.zeros(0)))[:-3] for r in m.relations] for m in (a, b)]
    rest = [(m.series, m.step, m.alive, m.chosen, [r.fit for r in m.relations]) for m in (a, b)]
    return ranges[: len(ranges) // 2] == ranges[len(ranges) // 2 :] and repr(bare[0]) == repr(bare[1]) and rest[0] == rest[1]


def test_what_is_read_back_is_what_was_found_to_the_last_bit() -> None:
    found = prepare(image())
    read = prepared_from(prepared_bytes(found))
    assert read is not None
    assert len(found.model.relations) >= 2
    assert found.model.chosen
    assert read.mark == found.mark
    assert same(read.model, found.model)


def test_it_counts_for_its_own_image_only(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = image(), image(3.0)
    ahead = Prepared(mark_of(mine), ProcessModel(step=77))
    assert recall(mine, ahead).step == 77
    assert same(recall(other, ahead), process_model(other))
    assert same(recall(mine, None), process_model(mine))
    monkeypatch.setattr(prepared, "DERIVATION", prepared.DERIVATION + 1)
    assert recall(mine, ahead).step != 77


@pytest.mark.parametrize("damage", ["mark", "series", "ranges", "relations", "alive", "chosen", "step"])
def test_what_does_not_hold_together_is_found_anew(damage: str) -> None:
    whole = json.loads(prepared_bytes(prepare(image())))
    without = {key: value for key, value in whole.items() if key != damage}
    assert prepared_from(json.dumps(without).encode()) is None
    assert prepared_from(json.dumps(whole | {damage: [[9]]}).encode()) is None or damage == "mark"
    if damage in ("alive", "chosen", "relations"):  # what is referred to is not there
        whole["series"] = whole["series"][:1]
        assert prepared_from(json.dumps(whole).encode()) is None


def test_a_baseline_keeps_it_beside_its_statistics(tmp_path: Path) -> None:
    plain, ahead = Baseline(image=image()), Baseline(image=image(), prepared=prepare(image()))
    digests = [save_baseline(tmp_path / name, b) for name, b in (("plain", plain), ("ahead", ahead))]
    assert digests[0] == digests[1]
    read = load_baseline(tmp_path / "ahead")[0]
    assert read.prepared is not None
    assert same(read.prepared.model, process_model(plain.image))
    assert load_baseline(tmp_path / "plain")[0].prepared is None
    assert merge(read, plain).prepared is None


def test_learning_finds_it_ahead(tmp_path: Path) -> None:
    base = tmp_path / "base"
    capture = Path(__file__).parents[2] / "pcaps" / "modbus-normal" / "train.pcap"
    assert main(["learn", str(capture), "--baseline", str(base)]) == 0
    learned = load_baseline(base)[0]
    assert learned.prepared is not None
    assert learned.prepared.mark == mark_of(learned.image)
    assert main(["baseline", "merge", str(base), str(base), "--output", str(tmp_path / "merged")]) == 0
    merged = load_baseline(tmp_path / "merged")[0]
    assert merged.prepared is not None
    assert merged.prepared.mark == mark_of(merged.image)
