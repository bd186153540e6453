"""Lists of assets for people, spreadsheets and programs; vendors by hardware address."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.host.oui import vendor
from appliance.report.assets import FIELDS, AssetRow, assets_csv, assets_json, assets_table
from appliance.report.wording import cells, plain

PLC = AssetRow("10.0.0.1", ("00:80:f4:09:51:3b",), "TELEMECANIQUE ELECTRIQUE", ("server",), ("tcp/502",), (), ("10.0.0.7",),
               1_424_799_609_410_000_000, 1_424_799_700_000_000_000, 48_211)  # fmt: skip
STRANGER = AssetRow("fe80::1", (), None, ("client",), (), ("tcp/502", "udp/47808", "tcp/102"), (), known=False)
words = st.text(max_size=30)
rows = st.builds(
    AssetRow, words, st.tuples(words), st.none() | words, st.tuples(words), st.tuples(words, words), frames=st.integers(0, 10**12)
)


def test_the_table_fits_a_terminal_and_names_what_is_new() -> None:
    lines = list(assets_table([PLC, STRANGER]))
    assert all(cells(line) <= 100 for line in lines)
    assert "TELEMECANIQUE" in lines[2]
    assert "00:80:f4:09:51:3b" in lines[2]
    assert "48,211" in lines[2]
    assert lines[3].startswith("fe80::1 (new)")
    assert "tcp/502 +2" in lines[3]
    assert lines[-1] == "2 assets"


def test_the_table_speaks_japanese() -> None:
    lines = list(assets_table([STRANGER], "ja"))
    assert lines[0].startswith("アドレス")
    assert "クライアント" in lines[2]


@given(st.lists(rows, max_size=4))
def test_any_table_keeps_its_width_and_shows_nothing_hidden(listed: list[AssetRow]) -> None:
    for line in assets_table(listed):
        assert plain(line) == line
        assert cells(line) <= 100


def test_csv_reads_back() -> None:
    head, plc, stranger = csv.reader(io.StringIO(assets_csv([PLC, STRANGER])))
    assert tuple(head) == FIELDS
    assert dict(zip(head, plc, strict=True))["first"] == "1424799609.41"
    assert dict(zip(head, stranger, strict=True))["uses"] == "tcp/502 udp/47808 tcp/102"


@pytest.mark.parametrize("evil", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_csv_runs_no_formula(evil: str) -> None:
    cell = next(csv.DictReader(io.StringIO(assets_csv([AssetRow("10.0.0.1", vendor=evil)]))))["vendor"]
    assert cell[0] not in "=+-@\t"


def test_json_has_every_field() -> None:
    plc, stranger = json.loads(assets_json([PLC, STRANGER]))
    assert tuple(plc) == FIELDS
    assert plc["macs"] == ["00:80:f4:09:51:3b"]
    assert stranger["vendor"] is None
    assert stranger["known"] is False


@pytest.mark.parametrize(
    ("mac", "maker"),
    [
        ("00:80:f4:09:51:3b", "TELEMECANIQUE ELECTRIQUE"),
        ("00-1D-9C-00-00-01", "Rockwell Automation"),
        ("00:50:c2:aa:b0:00", "BRS Sistemas Eletrônicos"),  # a 36-bit block
        ("70:b3:d5:12:30:00", None),  # held by the registry itself, handed on in slices it does not list here
        ("52:54:00:12:34:56", "locally administered"),
        ("01:0e:cf:00:00:00", "group address"),
        ("ff:ff:ff:ff:ff:ff", "group address"),
        ("00:00:00:00:00:00", None),
        ("0x80f4_9513b", None),
        ("10.0.0.1", None),
    ],
)
def test_vendor_of_a_hardware_address(mac: str, maker: str | None) -> None:
    assert vendor(mac) == maker


@given(st.text(max_size=20))
def test_vendor_takes_any_text(text: str) -> None:
    assert vendor(text) is None or isinstance(vendor(text), str)
