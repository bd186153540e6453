"""The one-page report: complete, self-contained, and deaf to whatever hostile text it is given."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.detect.finding import Finding, Kind
from appliance.errors import UsageError
from appliance.incident.incident import Cause, Incident
from appliance.report.page import AssetRow, Buckets, Conversation, PageData, page
from appliance.report.records import summary_record

T0 = 1_424_799_609_410_000_000
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Reads a page, checks that every element is closed in order, and keeps tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.extend(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def data(lang: str = "en", word: str = "a stranger", incidents: int = 1, servers: int = 2) -> PageData:
    write = Finding(4782, T0, "10.0.0.9", "10.0.0.2", "10.0.0.9", "tcp/502", Kind.UNKNOWN_COMMAND, ((7, 8),), b"\x05",
                    (b"\x03", b"\x01"), 0.0003, bytes.fromhex("00010000000601050013ff00"))  # fmt: skip
    told = Incident("i-7", T0, T0 + 10**9, title=word, advice=[word], impact=word, cause=Cause.SECURITY, technique="T0855",
                    confidence=0.97, assets=["10.0.0.9", word], findings=[write], total=3)  # fmt: skip
    talk = tuple(Conversation("10.0.0.7", f"10.0.{i // 200}.{i % 200 + 1}", "tcp/502", 10) for i in range(1, servers + 1))
    rows = (AssetRow("10.0.0.9", vendor=word, roles=(word, "client"), known=False), AssetRow("10.0.0.7", offers=(word,)))
    return PageData(word, rows, talk, Buckets(T0 - 10**10, 10**9, (5,) * 60), (told,) * incidents,
                    summary_record(5000, 3, incidents, 60.0, 1), lang)  # fmt: skip


def test_the_page_says_what_the_story_says() -> None:
    text = read(page(data())).text
    for words in ("1 incident", "a stranger", "10.0.0.9 → 10.0.0.2", "frame 4782, byte 7", "T0855", "5,000", "confidence 97 %"):
        assert words in " ".join(text.split())


def test_the_abnormal_byte_and_no_other_is_marked() -> None:
    html = page(data())
    assert html.count('<td class="x">') == 1
    assert '<td class="x">05</td>' in html
    assert '<code class="x">05</code>' in html
    assert "<code>03</code> <code>01</code>" in html


def test_new_and_abnormal_are_red_in_the_map() -> None:
    html = page(data())
    assert html.count('class="link red"') == 1
    assert html.count('<g class="node new hit">') == 1
    assert 'class="link red"' not in page(data(incidents=0))


def test_a_quiet_page_says_so() -> None:
    text = read(page(data(incidents=0))).text
    assert "Nothing abnormal" in text
    assert "Everything seen here was known" in text


def test_the_page_speaks_japanese() -> None:
    html = page(data("ja"))
    assert '<html lang="ja">' in html
    assert "未知のコマンド" in html
    assert "インシデント 1 件" in html
    with pytest.raises(UsageError):
        page(data("xx"))


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = page(data(servers=300, incidents=3))
    reader = read(html)
    assert not reader.tags & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "image",
        "use",
        "foreignobject",
    }
    for name, value in reader.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "srcset", "style", "xlink:href", "action"}
        if name == "href":
            assert value is not None
            assert value.startswith("#incident-")
    for outside in ("url(", "@import", "http:", "https:", "//"):
        assert outside not in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    "word", ["</style><script>alert(1)</script>", "\"'><img src=x onerror=y>", "{{ 7*7 }}{% raw %}", "\x1b[2J\u202e"]
)
def test_hostile_words_stay_words(word: str, lang: str) -> None:
    html = page(data(lang, word))
    reader = read(html)
    assert not reader.tags & {"script", "img"}
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    assert word not in html or word.startswith("{")
    assert "\x1b" not in html
    assert "\u202e" not in html
    if word.isprintable():
        assert word in reader.text


@given(st.text(min_size=1))
def test_any_text_gives_a_well_formed_page_that_utf8_can_hold(word: str) -> None:
    benign = read(page(data()))
    reader = read(page(data(word=word)))
    assert reader.tags == benign.tags
    page(data(word=word)).encode("utf-8")


def test_an_empty_capture_has_a_page_too() -> None:
    empty = PageData("empty.pcap", (), (), Buckets(0, 1, ()), (), summary_record(0, 0, 0, 0.0, 0))
    assert "No conversation was seen." in read(page(empty)).text


def test_a_flood_of_incidents_keeps_the_page_small() -> None:
    html = page(data(incidents=500, servers=1000))
    assert html.count('<article class="card') == 60
    assert "440 more incidents" in html
    assert len(html) < 500_000


def test_the_same_data_gives_the_same_page() -> None:
    assert page(data(servers=100)) == page(data(servers=100))
