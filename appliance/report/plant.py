"""The plant as a graph that stays legible: who stands where, what is folded together, which links are drawn.

Assets stand in up to three columns by what they do: those that ask, those that do both, those that answer. A column with too
many assets is folded, first those that do exactly the same with the same peers, then more and more coarsely; what an
incident concerns is folded last.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from appliance.report.assets import AssetRow

CLIENTS, BOTH, SERVERS = 0, 1, 2
ELSEWHERE, HARDWARE, BROADCAST = "elsewhere", "hardware", "broadcast"  # networks without an address of their own
_COLUMN: Final = 26  # nodes that a column shows legibly
_LINKS: Final = 240
_STRANDS: Final = 4  # abnormal services between two nodes that are drawn one by one
_COLORS: Final = 7  # services with a colour of their own; more cannot be told apart


@dataclass(frozen=True, slots=True)
class Conversation:
    """One client, one server, one service; `known` is False where it was never seen while learning."""

    client: str
    server: str
    service: str
    messages: int
    known: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """One asset, or several folded together. `network` is "10.0.0.0/24" or one of ELSEWHERE, HARDWARE, BROADCAST."""

    members: tuple[str, ...]
    vendor: str
    column: int
    network: str
    new: bool
    incidents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """Messages of one service between two nodes (indices); `color` counts services by size, -1 for all the small ones."""

    client: int
    server: int
    service: str
    messages: int
    abnormal: bool
    color: int


@dataclass(frozen=True, slots=True)
class Plant:
    """What is drawn. `services` have the colours 0, 1, 2 ...; `folded` assets share a node, `unseen` links are left out."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    services: tuple[str, ...]
    folded: int
    unseen: int


def plant(
    assets: Iterable[AssetRow], conversations: Sequence[Conversation], incidents: Mapping[tuple[str, str, str], Iterable[int]]
) -> Plant:
    """Fold the assets and conversations of a site into a graph of bounded size.

    `incidents` names the conversations (client, server, service) that incidents concern, with the incidents' numbers;
    conversations and addresses that appear only there are drawn as new.
    """
    seen = {(c.client, c.server, c.service) for c in conversations}
    extra = [Conversation(*key, messages=1, known=False) for key in incidents if key not in seen]
    talk = [c for c in [*conversations, *extra] if c.client != c.server]
    nodes = _folded(_singles(assets, talk, incidents), talk)
    place = {address: index for index, node in enumerate(nodes) for address in node.members}
    ranked = Counter[str]()
    for c in talk:
        ranked[c.service] += c.messages
    services = tuple(sorted(ranked, key=lambda s: (-ranked[s], s))[:_COLORS])
    links = _links(talk, place, incidents, services)
    folded = sum(len(node.members) for node in nodes if len(node.members) > 1)
    return Plant(tuple(nodes), tuple(links[:_LINKS]), services, folded, max(0, len(links) - _LINKS))


def network_of(address: str) -> str:
    """The network an address is drawn in: its /24 (IPv4) or /64 (IPv6), BROADCAST, HARDWARE, or ELSEWHERE for other text."""
    try:
        parsed = ip_address(address)
    except ValueError:
        digits = address.split(":")
        if len(digits) == 6 and all(len(d) == 2 for d in digits):
            return BROADCAST if digits[0][1] in "13579bdfBDF" else HARDWARE
        return ELSEWHERE
    if parsed.is_multicast or str(parsed) == "255.255.255.255" or (parsed.version == 4 and parsed.packed[3] == 255):
        return BROADCAST
    return str(ip_network(f"{parsed}/{24 if parsed.version == 4 else 64}", strict=False))


def address_key(address: str) -> tuple[int, int, str]:
    """Sort key that counts as people do: 10.0.0.2 before 10.0.0.10, IPv4 before IPv6 before the rest."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return (9, 0, address)
    return (parsed.version, int(parsed), address)


def _singles(
    assets: Iterable[AssetRow], talk: Sequence[Conversation], incidents: Mapping[tuple[str, str, str], Iterable[int]]
) -> list[Node]:
    asked, answered = Counter[str](), Counter[str]()
    for c in talk:
        asked[c.client] += c.messages
        answered[c.server] += c.messages
    concerned: dict[str, set[int]] = defaultdict(set)
    for (client, server, _), numbers in incidents.items():
        concerned[client].update(numbers)
        concerned[server].update(numbers)
    rows = {row.address: row for row in assets}
    # Addresses that only conversations name have no row: those that never sent a frame, such as broadcast or dark ones.
    known_talk = {address for c in talk if c.known for address in (c.client, c.server)}
    nodes = []
    for address in sorted({*rows, *asked, *answered}, key=address_key):
        row = rows.get(address)
        if address not in asked and address not in answered and not concerned[address]:
            continue  # talks with nobody that is drawn: it is in the table of assets
        new = not row.known if row else address not in known_talk
        column = _column(asked[address], answered[address])
        vendor = (row.vendor or "") if row else ""
        nodes.append(Node((address,), vendor, column, network_of(address), new, tuple(sorted(concerned[address]))))
    return nodes


def _column(asked: int, answered: int) -> int:
    total = asked + answered
    if total == 0 or 0.15 <= asked / total <= 0.85:
        return BOTH
    return CLIENTS if asked > answered else SERVERS


def _folded(nodes: Sequence[Node], talk: Sequence[Conversation]) -> list[Node]:
    """Fold each column no further than it must be."""
    habits: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for c in talk:
        habits[c.client].add(("asks", c.service, c.server))
        habits[c.server].add(("answers", c.service, c.client))
    result: list[Node] = []
    for column in (CLIENTS, BOTH, SERVERS):
        mine = [node for node in nodes if node.column == column]
        for level in range(5):
            groups: dict[object, list[Node]] = defaultdict(list)
            for node in mine:
                groups[_signature(node, habits[node.members[0]], level)].append(node)
            if len(groups) <= _COLUMN or level == 4:
                result.extend(_merged(group) for group in groups.values())
                break
    return result


def _signature(node: Node, habits: set[tuple[str, str, str]], level: int) -> object:
    """What must be equal for two nodes to be folded: less and less with each level."""
    same = (node.new, node.incidents, node.network)
    return (
        node.members,
        (*same, frozenset(habits)),
        (*same, frozenset(habit[:2] for habit in habits)),
        same,
        (node.new, bool(node.incidents)),
    )[level]


def _merged(group: Sequence[Node]) -> Node:
    if len(group) == 1:
        return group[0]
    first = group[0]
    networks = {node.network for node in group}
    vendors = {node.vendor for node in group}
    return Node(
        members=tuple(address for node in group for address in node.members),
        vendor=first.vendor if len(vendors) == 1 else "",
        column=first.column,
        network=first.network if len(networks) == 1 else ELSEWHERE,
        new=first.new,
        incidents=tuple(sorted({number for node in group for number in node.incidents})),
    )


def _links(
    talk: Sequence[Conversation],
    place: Mapping[str, int],
    incidents: Mapping[tuple[str, str, str], Iterable[int]],
    services: Sequence[str],
) -> list[Link]:
    """Links between nodes, the abnormal and then the thickest first. Messages inside a folded node are not drawn."""
    color = {service: index for index, service in enumerate(services)}
    messages: dict[tuple[int, int, str, bool], int] = Counter()
    for c in talk:
        abnormal = not c.known or (c.client, c.server, c.service) in incidents
        if place[c.client] != place[c.server]:
            messages[place[c.client], place[c.server], c.service, abnormal] += c.messages
    links = [Link(*key[:3], count, key[3], color.get(key[2], -1)) for key, count in _bundled(messages).items()]
    return sorted(links, key=lambda link: (not link.abnormal, -link.messages, link.client, link.server, link.service))


def _bundled(messages: Mapping[tuple[int, int, str, bool], int]) -> dict[tuple[int, int, str, bool], int]:
    """Abnormal links of very many services between the same two nodes (ports that are tried) as one: "tcp × 796"."""
    strands: dict[tuple[int, int, str], list[tuple[int, int, str, bool]]] = defaultdict(list)
    for key in messages:
        if key[3]:
            strands[key[0], key[1], key[2].partition("/")[0]].append(key)
    result = dict(messages)
    for (client, server, transport), keys in strands.items():
        if len(keys) > _STRANDS:
            result[client, server, f"{transport} × {len(keys):,}", True] = sum(result.pop(key) for key in keys)
    return result
