"""Documents are read as they are written, and whatever is wrong is one line with file, line and fix."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.documents import MAX_BYTES, MAX_DEPTH, Value, read_document
from appliance.errors import DocumentError


def test_scalars_are_text_until_a_type_is_asked_for() -> None:
    fields = read_document("d", b"a: 02:00\nb: no\nc: 010\nd: 1e3\ne: ~\nf: 2026-11-24\n").mapping()
    assert [fields[k].text() for k in "abcdef"] == ["02:00", "no", "010", "1e3", "~", "2026-11-24"]
    assert fields["c"].whole(0, 20) == 10
    assert [fields[k].line for k in "abcdef"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", ("line 2", "'a' is there twice", "line 1")),
        ("a: &x 1\nb: *x\n", ("line 1", "references", "write the value out")),
        ("a: !!python/object:os.system 1\n", ("line 1", "tags", "leave it out")),
        ("a: 1\n b: 2\n", ("line 2", "check indentation")),
        ("a: [1, 2\n", ("line", "check indentation")),
        ("? [a]\n: b\n", ("line 1", "a key is plain text")),
        ("a: 1\n---\nb: 2\n", ("document",)),
        ("", ("nothing is in it",)),
        ("[" * (MAX_DEPTH + 1), ("nested too deeply",)),
        ("[" * 5000, ("nested too deeply",)),
        ("a: " + "x" * 5000, ("line 1", "at most 4,000")),
        ("a: \x07\n", ("d",)),
        ("- 1\n" * 50_001, ("split the document",)),
        (" " * (MAX_BYTES + 1), ("bytes", "split it")),
    ],
)
def test_what_is_no_plain_document_is_refused(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(DocumentError) as caught:
        read_document("d", text.encode())
    assert str(caught.value).startswith("d")
    assert "\n" not in str(caught.value)
    assert [w for w in words if w not in str(caught.value)] == []


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    with pytest.raises(DocumentError, match="line 2: not UTF-8"):
        read_document("d", b"a: 1\n\xff\n")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda v: v["t"].whole(1, 5), ("line 1", "t", "'soon' is not a whole number from 1 to 5")),
        (lambda v: v["t"].flag(), ("'soon'", "use one of true, false")),
        (lambda v: v["t"].choice(("sooner", "later")), ("did you mean 'sooner'?",)),
        (lambda v: v["t"].items(3), ("write a list",)),
        (lambda v: v["t"].mapping(), ("key: value",)),
        (lambda v: v["l"].text(), ("line 2", "one text")),
        (lambda v: v["l"].items(1), ("2 entries", "1 to 1")),
        (lambda v: v["m"].fields(("name",)), ("line 4", "m.nam", "did you mean 'name'?")),
        (lambda v: v["m"].fields(("nam", "who")), ("line 4", "'who' is missing")),
        (lambda v: v["n"].whole(0, 9), ("99999",)),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(ask, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    found: dict[str, Value] = read_document("d", b"t: soon\nl: [a, b]\nm:\n  nam: x\nn: 99999999999999999999999\n").mapping()
    with pytest.raises(DocumentError) as caught:
        ask(found)
    assert [w for w in words if w not in str(caught.value)] == []


@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    with contextlib.suppress(DocumentError):
        assert isinstance(read_document("d", data), Value)
