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
_MANY: Final = 70  # links; more of them are drawn slimmer and paler


@dataclass(frozen=True, slots=True)
class Box:
    """A network's frame in a column; `between` others, links pass behind it."""

    network: str
    x: float
    y: float
    width: float
    height: float
    between: bool


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
    dense: bool


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
            boxes.append(Box(network, left - _PAD, y, NODE_WIDTH + 2 * _PAD, height, between=column == BOTH and len(present) > 2))
            for row, index in enumerate(members):
                spots[index] = Spot(plant.nodes[index], left, y + _HEAD + _PITCH * row)
            y += height + _GAP
    return Drawing(
        height=_TOP + tallest + 4,
        columns=tuple(middle.items()),
        boxes=tuple(boxes),
        spots=tuple(spots[index] for index in sorted(spots)),
        curves=_curves(plant.links, spots, boxes),
        dense=len(plant.links) > _MANY,
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


def _curves(links: Sequence[Link], spots: Mapping[int, Spot], boxes: Sequence[Box]) -> tuple[Curve, ...]:
    sides = {
        (number, index): _side(link, spots, index) for number, link in enumerate(links) for index in (link.client, link.server)
    }
    ports = _ports(links, spots, sides)
    taken = [(spot.x + NODE_WIDTH / 2, spot.y + NODE_HEIGHT / 2, NODE_WIDTH / 2) for spot in spots.values()]
    taken += [(box.x + box.width / 2, box.y + _HEAD / 2, box.width / 2) for box in boxes]  # their names
    slim = 1.0 if len(links) <= _MANY else 0.6
    labels = 0
    curves = []
    for number, link in enumerate(links):
        start, end = ports[number, link.client], ports[number, link.server]
        points = _controls(start, end, sides[number, link.client], sides[number, link.server])
        label = _free(points, taken) if link.abnormal and labels < _LABELS else None
        if label:
            taken.append((*label, 0.0))
            labels += 1
        curves.append(
            Curve(
                link, _path(points), (1.0 if link.abnormal else slim) * min(6.5, 1.1 + 0.85 * log10(max(1, link.messages))), label
            )
        )
    return tuple(curves)


def _free(points: Sequence[tuple[float, float]], taken: Sequence[tuple[float, float, float]]) -> tuple[float, float] | None:
    """A place on a curve where a label covers no node and no other label; `taken` are (x, y, half a width)."""
    for part in (0.5, 0.4, 0.6, 0.3, 0.7):
        x, y = _at(points, part)
        if all(abs(y - ty) > 19 or abs(x - tx) > half + 62 for tx, ty, half in taken):
            return x, y
    return None


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


def _controls(start: tuple[float, float], end: tuple[float, float], out: int, into: int) -> tuple[tuple[float, float], ...]:
    """The four points of a cubic Bezier curve that leaves and enters level; inside a column it bulges with its length."""
    (x1, y1), (x2, y2) = start, end
    reach = 46 + min(60.0, abs(y2 - y1) * 0.12) if out == into else max(0.45 * abs(x2 - x1), 30)
    return start, (x1 + out * reach, y1), (x2 + into * reach, y2), end


def _path(points: Sequence[tuple[float, float]]) -> str:
    (x1, y1), (ax, ay), (bx, by), (x2, y2) = points
    return f"M{x1:.1f} {y1:.1f}C{ax:.1f} {ay:.1f} {bx:.1f} {by:.1f} {x2:.1f} {y2:.1f}"


def _at(points: Sequence[tuple[float, float]], part: float) -> tuple[float, float]:
    weights = ((1 - part) ** 3, 3 * part * (1 - part) ** 2, 3 * part**2 * (1 - part), part**3)
    x = sum(weight * point[0] for weight, point in zip(weights, points, strict=True))
    return x, sum(weight * point[1] for weight, point in zip(weights, points, strict=True))
