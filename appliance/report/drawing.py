"""Where everything of the map goes, in the units of an SVG 1000 wide: boxes of networks, nodes, curves of links.

Order inside a column follows the peers (a few sweeps of the barycentre heuristic: Sugiyama, Tagawa, Toda 1981), so that
links cross little; networks stay together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING, Final

from appliance.report.plant import BOTH, CLIENTS, SERVERS, Link, Node, address_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.report.plant import Plant

WIDTH: Final = 1000
NODE_WIDTH: Final = 236
NODE_HEIGHT: Final = 26
_PITCH: Final = 31
_HEAD: Final = 26  # room for the network's name above its nodes
_PAD: Final = 8
_GAP: Final = 12
_TOP: Final = 30  # room for the columns' names
_SWEEPS: Final = 6
_LABELS: Final = 14


@dataclass(frozen=True, slots=True)
class Box:
    """A network's frame in a column."""

    network: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Spot:
    """A node's upper left corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A link as an SVG path; the label's place is None where there is no room for one."""

    link: Link
    path: str
    thickness: float
    label: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """All there is to draw; `columns` are (which column, x of its middle)."""

    height: float
    columns: tuple[tuple[int, float], ...]
    boxes: tuple[Box, ...]
    spots: tuple[Spot, ...]
    curves: tuple[Curve, ...]


def draw(plant: Plant) -> Drawing:
    """Lay out a plant. The same plant always gives the same drawing."""
    present = [column for column in (CLIENTS, BOTH, SERVERS) if any(node.column == column for node in plant.nodes)]
    middle = dict(zip(present, _middles(len(present)), strict=True))
    stacks = _ordered(plant, present)
    tallest = max((_stack_height(stack) for stack in stacks.values()), default=0.0)
    boxes, spots = [], {}
    for column, stack in stacks.items():
        y = _TOP + (tallest - _stack_height(stack)) / 2
        left = middle[column] - NODE_WIDTH / 2
        for network, members in stack:
            height = _HEAD + _PITCH * len(members) + _PAD - (_PITCH - NODE_HEIGHT)
            boxes.append(Box(network, left - _PAD, y, NODE_WIDTH + 2 * _PAD, height))
            for row, index in enumerate(members):
                spots[index] = Spot(plant.nodes[index], left, y + _HEAD + _PITCH * row)
            y += height + _GAP
    return Drawing(
        height=_TOP + tallest + 4,
        columns=tuple(middle.items()),
        boxes=tuple(boxes),
        spots=tuple(spots[index] for index in sorted(spots)),
        curves=_curves(plant.links, spots),
    )


def _middles(count: int) -> tuple[float, ...]:
    edge = NODE_WIDTH / 2 + _PAD + 1
    return ((), (WIDTH / 2,), (edge, WIDTH - edge), (edge, WIDTH / 2, WIDTH - edge))[count]


def _stack_height(stack: Sequence[tuple[str, list[int]]]) -> float:
    inner = sum(_HEAD + _PITCH * len(members) + _PAD - (_PITCH - NODE_HEIGHT) for _, members in stack)
    return inner + _GAP * max(0, len(stack) - 1)


def _ordered(plant: Plant, present: Sequence[int]) -> dict[int, list[tuple[str, list[int]]]]:
    """For each column its networks, for each network its nodes, from top to bottom."""
    peers: dict[int, list[int]] = defaultdict(list)
    for link in plant.links:
        peers[link.client].append(link.server)
        peers[link.server].append(link.client)
    stacks = {column: _by_network(plant.nodes, column) for column in present}
    rank = _ranks(stacks)
    for _ in range(_SWEEPS):
        for column in present:
            pull = {
                index: sum(rank[p] for p in peers[index]) / len(peers[index]) if peers[index] else rank[index]
                for _, members in stacks[column]
                for index in members
            }
            for _, members in stacks[column]:
                members.sort(key=lambda index: (round(pull[index], 6), index))
            stacks[column].sort(key=lambda item: (sum(pull[i] for i in item[1]) / len(item[1]), item[0]))
            rank.update(_ranks({column: stacks[column]}))
    return stacks


def _by_network(nodes: Sequence[Node], column: int) -> list[tuple[str, list[int]]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index in sorted((i for i, n in enumerate(nodes) if n.column == column), key=lambda i: address_key(nodes[i].members[0])):
        groups[nodes[index].network].append(index)
    return list(groups.items())


def _ranks(stacks: Mapping[int, Sequence[tuple[str, list[int]]]]) -> dict[int, float]:
    """Each node's height in its column, 0 at the top and 1 at the bottom."""
    ranks = {}
    for stack in stacks.values():
        flat = [index for _, members in stack for index in members]
        ranks.update({index: (row + 0.5) / len(flat) for row, index in enumerate(flat)})
    return ranks


def _curves(links: Sequence[Link], spots: Mapping[int, Spot]) -> tuple[Curve, ...]:
    ends = {(number, index): _side(number_link, spots, index) for number, number_link in enumerate(links)
            for index in (number_link.client, number_link.server)}  # fmt: skip
    ports = _ports(links, spots, ends)
    labelled: list[tuple[float, float]] = []
    curves = []
    for number, link in enumerate(links):
        start, end = ports[number, link.client], ports[number, link.server]
        path, middle = _bezier(start, end, ends[number, link.client], ends[number, link.server])
        label = None
        if (
            link.abnormal
            and len(labelled) < _LABELS
            and all(abs(middle[1] - y) > 15 or abs(middle[0] - x) > 90 for x, y in labelled)
        ):
            labelled.append(middle)
            label = middle
        curves.append(Curve(link, path, min(6.5, 1.1 + 0.85 * log10(max(1, link.messages))), label))
    return tuple(curves)


def _side(link: Link, spots: Mapping[int, Spot], index: int) -> int:
    """Which side of a node a link leaves from: 1 right, -1 left. Links inside a column bulge to where there is room."""
    other = link.server if index == link.client else link.client
    here, there = spots[index].x, spots[other].x
    if here == there:
        return -1 if here > WIDTH / 2 else 1
    return 1 if there > here else -1


def _ports(
    links: Sequence[Link], spots: Mapping[int, Spot], sides: Mapping[tuple[int, int], int]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Spread the links of a node's side over its height, in the order of where they go."""
    wanted: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    for number, link in enumerate(links):
        wanted[link.client, sides[number, link.client]].append((spots[link.server].y, number))
        wanted[link.server, sides[number, link.server]].append((spots[link.client].y, number))
    ports = {}
    for (index, side), found in wanted.items():
        x = spots[index].x + (NODE_WIDTH if side > 0 else 0)
        for row, (_, number) in enumerate(sorted(found)):
            ports[number, index] = (x, spots[index].y + NODE_HEIGHT * (row + 1) / (len(found) + 1))
    return ports


def _bezier(start: tuple[float, float], end: tuple[float, float], out: int, into: int) -> tuple[str, tuple[float, float]]:
    """A cubic curve and the point in its middle."""
    (x1, y1), (x2, y2) = start, end
    reach = max(0.45 * abs(x2 - x1), 46 if out == into else 30) + (min(60, abs(y2 - y1) * 0.12) if out == into else 0)
    a, b = x1 + out * reach, x2 + into * reach
    path = f"M{x1:.1f} {y1:.1f}C{a:.1f} {y1:.1f} {b:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return path, ((x1 + 3 * a + 3 * b + x2) / 8, (y1 + y2) / 2)
