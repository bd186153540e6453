"""Lists of assets: what was seen on the wire, as a table for people, as CSV for a spreadsheet, as JSON for a program."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.report.labels import label, role
from appliance.report.records import seconds
from appliance.report.wording import cells, csv_safe, fit, listed, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Columns of the table by number: those that may be cut, and those that are cut only when nothing else is left to give.
_FIRST: Final = ((2, 14), (6, 10), (4, 8), (2, 8), (6, 7))  # vendor, uses, roles: widths that still tell something
_GIVING: Final = (2, 3, 4, 5, 6)
_SHOWN: Final = ("address", "macs", "vendor", "device", "roles", "offers", "uses", "peers", "frames")
_NAMING: Final = (0, 1)
FIELDS: Final = ("address", "macs", "vendor", "roles", "offers", "uses", "peers", "first", "last", "frames", "known",
                 "name", "model", "firmware", "serial", "said")  # fmt: skip


@dataclass(frozen=True, slots=True)
class AssetRow:
    """One asset.

    address    as text; macs its hardware addresses, first seen first
    vendor     maker by hardware address, None where the registry does not know
    roles      "client", "server" and whatever else `learn` tells
    offers     services it answers on ("tcp/502"); uses: services it asks others for
    peers      addresses it talks with
    first_ns, last_ns   nanoseconds since the epoch
    frames     frames it sent or received
    name, model, firmware, serial   as the device itself says, "" where it does not
    said       everything it says of itself: "modbus/1 firmware: 2.14"
    known      False for an asset that was not there while learning
    """

    address: str
    macs: tuple[str, ...] = ()
    vendor: str | None = None
    roles: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    first_ns: int = 0
    last_ns: int = 0
    frames: int = 0
    known: bool = True
    name: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    said: tuple[str, ...] = ()


def assets_table(rows: Sequence[AssetRow], lang: str = "en", columns: int = 100) -> Iterator[str]:
    """Lines for a terminal; columns grow with what they hold and shrink, addresses last, to fit `columns` cells."""
    heads = [label(lang, f"asset.{name}") for name in _SHOWN]
    body = [_cells(row, lang) for row in rows]
    widths = [max([cells(heads[i]), *(cells(line[i]) for line in body)]) for i in range(len(heads))]
    _shrink(widths, [max(cells(head), 6) for head in heads], columns)
    yield _line(heads, widths)
    yield "  ".join("─" * width for width in widths)
    for line in body:
        yield _line(line, widths)
    yield label(lang, "asset.count", count=f"{len(rows):,}")


def _cells(row: AssetRow, lang: str) -> list[str]:
    new = "" if row.known else f" ({label(lang, 'asset.new')})"
    return [
        plain(row.address) + new,
        plain(listed(row.macs, 1)),
        plain(row.vendor or ""),
        plain(" ".join(text for text in (row.name, row.model, row.firmware) if text)),
        plain(", ".join(role(lang, name) for name in row.roles)),
        plain(listed(row.offers, 1)),
        plain(listed(row.uses, 1)),
        f"{len(row.peers):,}",
        f"{row.frames:,}",
    ]


def _shrink(widths: list[int], least: list[int], columns: int) -> None:
    """Take cells from `_FIRST` down to what still tells, then from the widest of `_GIVING`, from names only last."""
    while sum(widths) + 2 * (len(widths) - 1) > columns:
        giving = [i for i in _GIVING if widths[i] > least[i]] or [i for i in _NAMING if widths[i] > least[i]]
        if not giving:
            return
        early = next((i for i, still in _FIRST if widths[i] > max(still, least[i])), None)
        widths[early if early is not None else max(giving, key=lambda i: widths[i])] -= 1


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    shown = [fit(text, width) for text, width in zip(texts[:-2], widths[:-2], strict=True)]
    numbers = [text.rjust(width - cells(text) + len(text)) for text, width in zip(texts[-2:], widths[-2:], strict=True)]
    return "  ".join([*shown, *numbers]).rstrip()


def assets_csv(rows: Iterable[AssetRow]) -> str:
    """RFC 4180 text with a head line; several values in a cell are separated by a space, times are seconds since the epoch.

    Cells that a spreadsheet would run as a formula are defused with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(FIELDS)
    for row in rows:
        record = _record(row)
        values = (
            ("; " if k == "said" else " ").join(v) if isinstance(v, list) else "" if v is None else str(v)
            for k, v in record.items()
        )
        writer.writerow([csv_safe(value) for value in values])
    return out.getvalue()


def assets_json(rows: Iterable[AssetRow]) -> str:
    """A JSON array of objects with the keys of `FIELDS`, ending with a line end; times are seconds since the epoch."""
    return json.dumps([_record(row) for row in rows], indent=2) + "\n"


def _record(row: AssetRow) -> dict[str, object]:
    values = (
        row.address,
        list(row.macs),
        row.vendor,
        list(row.roles),
        list(row.offers),
        list(row.uses),
        list(row.peers),
        seconds(row.first_ns),
        seconds(row.last_ns),
        row.frames,
        row.known,
        row.name,
        row.model,
        row.firmware,
        row.serial,
        list(row.said),
    )
    return dict(zip(FIELDS, values, strict=True))
