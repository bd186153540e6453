"""The model of causes: read with suspicion, evaluated as its trees say, and shipped as the card says."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.detect.finding import Finding, Kind
from appliance.errors import ModelError
from appliance.explain.cause import decides, judge, told_cause
from appliance.explain.causemodel import CAUSES, FORMAT, NODE, model_bytes, parse_model
from appliance.explain.evidence import EVIDENCE, MOST, THEMES, evidence
from appliance.explain.features import NAMES
from appliance.explain.site import Partner, Site
from appliance.explain.story import because
from appliance.explain.texts import say
from appliance.host.models import cause_model
from appliance.protocols import Intent, Words
from tests.unit.frames import SECOND

SCAN, MOVED = NAMES.index("part.scan"), NAMES.index("moved")


def small(**changes: Any) -> bytes:
    """Two trees: the first asks for a scan, and without one whether an address moved; the second is a leaf."""
    columns: dict[str, list[Any]] = {
        "feature": [SCAN, MOVED, -1, -1, -1, -1],
        "limit": [500_000, 500_000, 0, 0, 0, 0],
        "right": [4, 3, 0, 0, 0, 0],
        "shares": [[4000, 3000, 3000], [1000, 6000, 3000], [0, 10_000, 0], [0, 0, 10_000], [10_000, 0, 0], [2000, 4000, 4000]],
    }
    head: dict[str, Any] = {
        "format": FORMAT,
        "features": list(NAMES),
        "causes": list(CAUSES),
        "roots": [0, 5],
        "temperature": 1.0,
        "threshold": 0.55,
    }
    nodes = np.zeros(len(columns["feature"]), NODE)
    for name, column in columns.items():
        nodes[name] = changes.pop(name, column)
    return model_bytes(head | changes, nodes)


def row(**values: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([values.get(name, 0.0) for name in NAMES])


def test_the_mean_of_the_leaves_is_the_answer() -> None:
    model = parse_model(small())
    assert model.walk(row()).probabilities() == pytest.approx([0.1, 0.7, 0.2])
    assert model.walk(row(**{"part.scan": 1.0})).probabilities() == pytest.approx([0.6, 0.2, 0.2])
    assert model.walk(row(moved=1.0)).probabilities() == pytest.approx([0.1, 0.2, 0.7])


def test_temperature_flattens_and_keeps_the_order() -> None:
    cold, warm = (parse_model(small(temperature=t)).walk(row()).probabilities() for t in (1.0, 2.0))
    assert warm.argmax() == cold.argmax()
    assert warm.max() < cold.max()
    assert warm.sum() == pytest.approx(1)


def test_reasons_are_what_moved_the_trees() -> None:
    model = parse_model(small())
    assert rounded(model.walk(row(**{"part.scan": 1.0})).reasons("security")) == [("part.scan", 0.3)]
    assert rounded(model.walk(row(moved=1.0)).reasons("maintenance")) == [("moved", 0.35)]


def rounded(reasons: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(name, round(moved, 6)) for name, moved in reasons]


def test_an_unlikely_cause_is_not_told() -> None:
    finding = Finding(1, 0, "a", "b", "a", "tcp/1", Kind.SCAN)
    told, left_open = (judge([finding], model=parse_model(small(threshold=t))) for t in (0.55, 0.65))
    assert (told.cause, told.confidence, told.reasons) == ("security", 0.6, ("ev.searches",))
    assert (left_open.cause, left_open.confidence, left_open.reasons) == ("unknown", 0.6, ("open",))
    assert "60" in because(left_open)


def test_who_takes_the_places_of_two_at_once_is_told_whatever_the_model_holds() -> None:
    """Whose addresses move after a silence, or whose one address is used twice, is left to the model."""
    model = parse_model(small())
    kinds = {"twice": Kind.DUPLICATE_ADDRESS, "moved": Kind.ADDRESS_CHANGE}
    pairs = {name: [Finding(1, 0, who, "c", who, "eth", kind, seen=b"\2" * 6) for who in "ab"] for name, kind in kinds.items()}
    assert model.walk(row(moved=2.0)).probabilities().argmax() == CAUSES.index("maintenance")
    between, exchanged = (judge(pairs[name], model=model) for name in ("twice", "moved"))
    unsure = judge([*pairs["twice"], Finding(2, 0, "a", "b", "a", "tcp/1", Kind.SCAN)], model=parse_model(small(threshold=0.65)))
    assert [(j.cause, j.confidence, j.reasons) for j in (between, unsure)] == [("security", 0.85, ("between",))] * 2
    assert exchanged.cause == judge(pairs["twice"][:1], model=model).cause == "maintenance"
    assert told_cause(sure(maintenance=0.9), seen(moved_twice=2.0, moved_shared=1.0), 0.6) == "maintenance"
    assert told_cause(sure(maintenance=0.5, fault=0.5), seen(), 0.6) == "unknown"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": FORMAT + 1},
        {"features": list(NAMES[1:])},
        {"causes": ["fault", "security", "maintenance"]},
        {"right": [4, 1, 0, 0, 0, 0]},
        {"right": [6, 3, 0, 0, 0, 0]},
        {"feature": [SCAN, len(NAMES), -1, -1, -1, -1]},
        {"feature": [SCAN, MOVED, -1, -1, -1, SCAN]},
        {"shares": [[10_001, 0, 0]] * 6},
        {"roots": [0, 6]},
        {"roots": [-1, 5]},
        {"roots": []},
        {"roots": [[0], [5]]},
        {"roots": "x"},
        {"temperature": 0},
        {"threshold": 1},
        {"threshold": None},
    ],
)
def test_a_model_that_would_not_end_or_reads_outside_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="cause model"):
        parse_model(small(**changes))


def test_a_changed_or_foreign_file_is_refused_in_one_line() -> None:
    good = small()
    changed = (
        good.replace(b"0.5", b"0.6", 1),
        good[:-9],
        good[: -NODE.itemsize],
        good[:-1] + b"\x01",
        good.replace(b"0.55", b"NaN"),
    )
    for raw in (b"", b"[]", b"{}", b"\n", b"\x80\x04.", b"[" * 60_000, b"[" * 100_000, good + bytes(16 * 400_000), *changed):
        with pytest.raises(ModelError) as caught:
            parse_model(raw)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("theme", sorted({theme for themes in THEMES.values() for theme, _ in themes}))
def test_every_theme_has_its_text(theme: str) -> None:
    assert theme in EVIDENCE


def test_every_text_belongs_to_a_theme_of_a_feature() -> None:
    assert set(EVIDENCE) == {theme for themes in THEMES.values() for theme, _ in themes}
    assert set(THEMES) <= set(NAMES)


def test_few_and_strong_reasons_are_told() -> None:
    row = dict.fromkeys(NAMES, 1.0)
    told = evidence(row, [("part.scan", 0.4), ("moved", 0.2), ("moved.shared", 0.3), ("errors", 0.1), ("intent.write", 0.001)])
    assert told == ["ev.moved", "ev.searches", "ev.refusals"]
    assert len(told) <= MOST


# What the shipped model says of incidents in which nobody would doubt.
HMI, PLC, STRANGER = "10.0.0.1", "10.0.0.11", "10.0.0.99"
SITE = Site(
    {HMI: Partner({"tcp/502": 1.0}, frozenset({PLC})), PLC: Partner(clients=frozenset({HMI}), services=frozenset({"tcp/502"}))}
)


def finding(
    kind: Kind, seconds: float = 0, *, answer: bool = False, client: str = HMI, server: str = PLC, **more: Any
) -> Finding:
    src, dst = (server, client) if answer else (client, server)
    return Finding(more.pop("frame", 7), int(seconds * SECOND), src, dst, client, "tcp/502", kind, **more)


def words(intent: Intent) -> Words:
    return Words("modbus", "service", "service", intent)


PLAIN = {
    "a cut cable": ([finding(Kind.SILENCE, frame=None, answer=True)], [], "fault"),
    "an outage with a reconnect": (
        [
            finding(Kind.SILENCE, answer=True, frame=None),
            finding(Kind.CONNECTION_FAILURE, 20, answer=True),
            finding(Kind.WRONG_IDENTITY, 25),
        ],
        [],
        "fault",
    ),
    "a scan": ([finding(Kind.SCAN, n / 10, client=STRANGER, server=f"10.0.0.{n}") for n in range(20, 60)], [], "security"),
    "a stranger writes": (
        [finding(Kind.NEW_ASSET, n / 5, client=STRANGER, payload=b"x") for n in range(6)],
        [words(Intent.WRITE)] * 6,
        "security",
    ),
}


@pytest.mark.parametrize("what", PLAIN)
def test_the_shipped_model_knows_the_plain_cases(what: str) -> None:
    findings, heard, cause = PLAIN[what]
    model = cause_model()
    judgement = judge(findings, heard, model, SITE)
    assert judgement.cause == cause
    english, japanese = (because(judgement, lang) for lang in ("en", "ja"))
    assert english != say("because.undecided", "en")
    assert english != japanese


def test_the_shipped_model_is_the_one_on_the_card(root: Any) -> None:
    raw = (root / "models" / "cause" / "cause.model").read_bytes()
    assert parse_model(raw).threshold == cause_model().threshold
    assert json.loads(raw.partition(b"\n")[0])["digest"] in (root / "models" / "cause" / "CARD.md").read_text(encoding="utf-8")


def sure(**chances: float) -> npt.NDArray[np.float64]:
    """Probabilities of the causes."""
    return np.array([chances.get(cause, 0.0) for cause in CAUSES])


def seen(**features: float) -> npt.NDArray[np.float64]:
    """A row of features, named with _ for the point."""
    named = {key.replace("_", ".", 1): value for key, value in features.items()}
    return np.array([named.get(name, 0.0) for name in NAMES])


def test_work_is_told_only_where_nobody_strange_acts_and_it_is_far_likelier_than_an_attack() -> None:
    assert decides(sure(maintenance=0.9, security=0.1), seen(), 0.6)
    assert not decides(sure(maintenance=0.9, security=0.1), seen(actor_stranger=1.0), 0.6)
    assert not decides(sure(maintenance=0.64, security=0.36), seen(), 0.6)
    assert decides(sure(maintenance=0.64, fault=0.36), seen(), 0.6)
    assert decides(sure(security=0.7, maintenance=0.3), seen(actor_stranger=1.0), 0.6)


def test_what_an_operator_or_somebody_else_at_his_machine_may_have_done_is_left_open() -> None:
    work, machine = sure(maintenance=0.9, security=0.1), {"actor_presence": 1.0}
    assert decides(work, seen(**machine), 0.6), "a page that reads something new"
    assert not decides(work, seen(**machine, intent_write=1.0), 0.6)
    assert decides(work, seen(actor_presence=0.25, intent_write=1.0), 0.6), "from the engineering station"


def test_a_value_that_contradicts_the_process_is_no_fault_as_long_as_nothing_fails() -> None:
    assert decides(sure(fault=0.8, security=0.2), seen(), 0.6)
    assert not decides(sure(fault=0.8, security=0.2), seen(part_process=1.0), 0.6)
    assert decides(sure(fault=0.8, security=0.2), seen(part_process=0.5, part_silent=0.5), 0.6)


def test_what_one_alone_heard_for_a_moment_is_no_fault_as_long_as_nothing_fails() -> None:
    fault, heard = sure(fault=0.8, security=0.2), {"part_answered": 1.0, "changed-for": 0.5}
    assert not decides(fault, seen(**heard), 0.6)
    assert decides(fault, seen(**heard, span=3.0), 0.6), "it goes on"
    assert decides(fault, seen(**heard, part_refused=0.5), 0.6)
    assert decides(fault, seen(**{**heard, "changed-for": 1.0}), 0.6), "another one heard it too"


def test_under_the_threshold_nothing_is_told() -> None:
    assert not decides(sure(security=0.59, fault=0.41), seen(), 0.6)
    assert decides(sure(security=0.6, fault=0.4), seen(), 0.6)
