"""One self-contained page for people: numbers, the map of the plant, the time line, every incident with its bytes, the assets.

Nothing is fetched and nothing runs: inline style and drawings, no script, and a content security policy that holds the
browser to it. Jinja2 escapes every value; `wording.plain` shows what is invisible, before it is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from appliance.incident.incident import Incident
from appliance.report import labels
from appliance.report.assets import AssetRow
from appliance.report.drawing import NODE_HEIGHT, NODE_WIDTH, draw
from appliance.report.numbering import ALONE, Numbering
from appliance.report.outline import HexRow, Outline, Place, bytes_text, hex_rows, left_out, outline, range_text, server_of
from appliance.report.plant import BOTH, CLIENTS, SERVERS, Conversation, Plant, address_key, plant
from appliance.report.records import SummaryRecord
from appliance.report.timeline import BARS, LANE, LEFT, TOP, Buckets, timeline
from appliance.report.wording import cells, listed, moment, plain, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

    from appliance.report.drawing import Spot

__all__ = ["AssetRow", "Buckets", "Conversation", "PageData", "page"]

_INCIDENTS: Final = 60  # cards; a page with more is read by nobody and printed by accident
_PLACES: Final = 4
_NORMALS: Final = 8
_TABLE: Final = 1000
_COLUMN: Final = {CLIENTS: "page.map.clients", BOTH: "page.map.both", SERVERS: "page.map.servers"}


@dataclass(frozen=True, slots=True)
class PageData:
    """What the page is drawn from; plain values only, no clock and no file.

    title          what was looked at, such as the captures' names
    assets         all that were seen, also those known from learning
    conversations  likewise; `known` False for those never seen while learning
    buckets        frames per interval of what was looked at
    incidents      in the order they are numbered
    summary        the closing record (`records.summary_record`)
    lang           one of `labels.LANGUAGES`
    numbering      names the capture of a frame where there are several
    """

    title: str
    assets: tuple[AssetRow, ...]
    conversations: tuple[Conversation, ...]
    buckets: Buckets
    incidents: tuple[Incident, ...]
    summary: SummaryRecord
    lang: str = "en"
    numbering: Numbering = ALONE


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A place of an incident with the rows of its payload."""

    place: Place
    rows: tuple[HexRow, ...]
    rest: int
    where: str
    seen: str
    normal: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Card:
    number: int
    incident: Incident
    outline: Outline
    evidence: tuple[_Evidence, ...]


def page(data: PageData) -> str:
    """The page as HTML text (write it as UTF-8). The same data always gives the same text.

    Raises UsageError for a language without texts.
    """
    labels.label(data.lang, "page.title")  # a language that cannot be used is refused before the work
    drawn = plant(data.assets, data.conversations, _concerned(data.incidents))
    causes: dict[str, int] = {}
    for incident in data.incidents:
        causes[incident.cause.value] = causes.get(incident.cause.value, 0) + 1
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=data,
            t=partial(labels.label, data.lang),
            role=partial(labels.role, data.lang),
            causes=causes,
            cards=[_card(number, incident) for number, incident in enumerate(data.incidents[:_INCIDENTS], start=1)],
            plant=drawn,
            map=draw(drawn),
            map_text=_MapText(data, drawn),
            time=timeline(data.buckets, data.incidents),
            rows=sorted(data.assets, key=lambda row: (row.known, address_key(row.address)))[:_TABLE],
            node={"width": NODE_WIDTH, "height": NODE_HEIGHT},
            axis={"left": LEFT, "top": TOP, "bars": BARS, "lane": LANE},
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 60 ms that only a report pays

    environment = Environment(
        loader=PackageLoader("appliance.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=moment, span=span, listed=listed, number=lambda value: f"{value:,}", px=lambda v: f"{v:.1f}"
    )
    return environment


def _visible(value: object) -> object:
    """Hidden characters are written out in every value; markup that a template made is left as it is."""
    return plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _concerned(incidents: Sequence[Incident]) -> dict[tuple[str, str, str], set[int]]:
    concerned: dict[tuple[str, str, str], set[int]] = {}
    for number, incident in enumerate(incidents, start=1):
        for finding in incident.findings:
            concerned.setdefault((finding.client, server_of(finding), finding.service), set()).add(number)
    return concerned


def _card(number: int, incident: Incident) -> _Card:
    found = outline(incident)
    # A place with bytes tells more than one without, so it is shown first.
    places = sorted(found.places, key=lambda place: not place.finding.ranges)
    return _Card(number, incident, found, tuple(_evidence(place) for place in places[:_PLACES]))


def _evidence(place: Place) -> _Evidence:
    finding = place.finding
    rows = hex_rows(finding.payload, finding.ranges, most=6 if finding.ranges else 2)
    return _Evidence(
        place=place,
        rows=rows,
        rest=left_out(finding.payload, rows),
        where=range_text(finding.ranges),
        seen=bytes_text(finding.seen, finding.ranges, 16),
        normal=tuple(bytes_text(example, finding.ranges, 16) for example in finding.normal[:_NORMALS]),
    )


class _MapText:
    """The words in the map: they need the language and the room there is."""

    def __init__(self, data: PageData, drawn: Plant) -> None:
        self._lang = data.lang
        self._nodes = drawn.nodes
        self.columns: Mapping[int, str] = {column: labels.label(data.lang, key) for column, key in _COLUMN.items()}

    def network(self, name: str) -> str:
        """A network's name for people."""
        return labels.label(self._lang, f"network.{name}") if f"network.{name}" in labels.LABELS else name

    def name(self, spot: Spot) -> str:
        """The address of an asset, or the first and last of those that were folded."""
        members = spot.node.members
        if len(members) == 1:
            return _middle_cut(members[0], 24)
        first, last = members[0], members[-1]
        if "." in first and first.rpartition(".")[0] == last.rpartition(".")[0]:
            return f"{first} … .{last.rpartition('.')[2]}"
        return _middle_cut(first, 15) + " …"

    def note(self, spot: Spot) -> str:
        """What stands beside the address: how many were folded, or who made it, as far as there is room."""
        node = spot.node
        room = 29 - len(self.name(spot)) - 3 * min(2, len(node.incidents))
        if len(node.members) > 1:
            count = labels.label(self._lang, "page.map.group", count=f"{len(node.members):,}")
            return count if cells(count) <= room else f"×{len(node.members):,}"
        return "" if room < 5 else node.vendor if len(node.vendor) <= room else node.vendor[: room - 1].rstrip(" ,.") + "…"

    def hint(self, spot: Spot) -> str:
        """The whole truth of a node, for a pointer that rests on it."""
        return f"{listed(spot.node.members, 30)}  {spot.node.vendor}".strip()

    def ends(self, index: int) -> str:
        """A link's end in words."""
        return listed(self._nodes[index].members, 1)


def _middle_cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 9]}…{text[-8:]}"
