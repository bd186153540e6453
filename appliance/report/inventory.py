"""A baseline's assets as rows for lists: what each offers, uses, and with whom it talks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.decode.columns import L2_TAG
from appliance.decode.conversation import Address, Conversation, is_group
from appliance.decode.names import address_text, mac_text
from appliance.detect.newcomers import ARP
from appliance.report.assets import AssetRow
from appliance.report.plant import address_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from appliance.learn.baselines.baseline import Baseline
    from appliance.learn.site.selfsaid import Texts, Told
    from appliance.learn.site.topology import Asset

_TRUSTED = ("cip", "s7", "modbus", "bacnet", "dcp", "lldp", "snmp", "mdns", "nbns", "dhcp")
_ROUTED = 3  # addresses behind one hardware address from which on it is a router's


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation and the frames that were counted of it."""

    conversation: Conversation
    frames: int


def baseline_inventory(baseline: Baseline, vendor: Callable[[str], str | None]) -> list[AssetRow]:
    """Rows for all devices of a baseline, in the order of their addresses."""
    talks = [Talk(c, baseline.number(c, "frames")) for c in baseline.conversations]
    return inventory(baseline.assets, talks, vendor, known=baseline.assets.keys(), said=baseline.said)


def inventory(
    assets: Mapping[Address, Asset],
    talks: Iterable[Talk],
    vendor: Callable[[str], str | None],
    known: Collection[Address],
    said: Mapping[Address, Texts] | None = None,
) -> list[AssetRow]:
    """Rows for assets, in the order of their addresses; the faces of others are left out.

    talks    their conversations; an asset's frames are those of its conversations, both directions
    vendor   gives the maker of a hardware address as text
    known    addresses that were there while learning
    said     what addresses say of themselves; the maker is who they say, else who made the network card
    """
    talks = list(talks)
    hidden = faces(assets, [talk.conversation for talk in talks])
    dealings = _dealings(talks)
    routers = _routers(assets)
    rows = []
    for address, asset in assets.items():
        if address in hidden:
            continue
        macs = tuple(mac_text(mac) for mac in sorted(asset.macs))
        texts = _introduction(address, asset.macs - routers, said or {})
        rows.append(
            AssetRow(
                address=address_text(*address),
                macs=macs,
                vendor=_first(texts, "vendor") or _maker(address, asset, routers, vendor),
                roles=_roles(bool(dealings.uses[address]), bool(dealings.offers[address])),
                offers=tuple(sorted(dealings.offers[address])),
                uses=tuple(sorted(dealings.uses[address])),
                peers=tuple(sorted(dealings.peers[address], key=address_key)),
                first_ns=asset.first,
                last_ns=asset.last,
                frames=dealings.frames[address],
                known=address in known,
                name=_first(texts, "name"),
                model=_first(texts, "model") or _first(texts, "code"),
                firmware=_first(texts, "firmware"),
                serial=_first(texts, "serial"),
                said=tuple(f"{source} {attribute}: {text}" for source, attribute, text in texts),
            )
        )
    return sorted(rows, key=lambda row: address_key(row.address))


@dataclass(frozen=True, slots=True)
class _Dealings:
    """Per address: services it answers on, services it uses, whom it talks with, frames in both directions."""

    offers: dict[Address, set[str]]
    uses: dict[Address, set[str]]
    peers: dict[Address, set[str]]
    frames: dict[Address, int]


def _dealings(talks: Iterable[Talk]) -> _Dealings:
    found = _Dealings(defaultdict(set), defaultdict(set), defaultdict(set), defaultdict(int))
    for talk in talks:
        c = talk.conversation
        found.uses[c.client].add(c.service)
        found.peers[c.client].add(address_text(*c.server))
        found.frames[c.client] += talk.frames
        if not c.group and c.client != c.server:
            found.offers[c.server].add(c.service)
            found.peers[c.server].add(address_text(*c.client))
            found.frames[c.server] += talk.frames
    return found


def _introduction(address: Address, own: set[int], said: Mapping[Address, Texts]) -> list[Told]:
    """What an address and the hardware behind it say, field protocols before names of hosts, the latest text of each first."""
    texts: Texts = dict(said.get(address, {}))
    if address[0] != L2_TAG:
        for mac in own:
            texts.update(said.get((L2_TAG, mac), {}))

    def rank(told: Told) -> tuple[int, str, str, int]:
        protocol = told[0].split("/")[0]
        return (_TRUSTED.index(protocol) if protocol in _TRUSTED else len(_TRUSTED), told[0], told[1], -texts[told][1])

    return sorted(texts, key=rank)


def _first(texts: list[Told], attribute: str) -> str:
    return next((text for _, kind, text in texts if kind == attribute), "")


def faces(assets: Mapping[Address, Asset], conversations: Iterable[Conversation]) -> set[Address]:
    """Hardware addresses that do nothing but ARP, for an asset that is known by its IP address: no devices of their own."""
    owned = {mac for (hi, _), asset in assets.items() if hi != L2_TAG for mac in asset.macs}
    more = {end for c in conversations if c.port != ARP for end in (c.client, c.server)}
    return {address for address in assets if address[0] == L2_TAG and address[1] in owned and address not in more}


def device_count(baseline: Baseline) -> int:
    """How many rows `baseline_inventory` gives."""
    return len(baseline.assets) - len(faces(baseline.assets, baseline.conversations))


def _roles(asks: bool, answers: bool) -> tuple[str, ...]:
    return ("client",) * asks + ("server",) * answers


def _routers(assets: Mapping[Address, Asset]) -> set[int]:
    """Hardware addresses that many IPv4 addresses share: what is behind them has other hardware."""
    behind: dict[int, int] = defaultdict(int)
    for (hi, lo), asset in assets.items():
        if hi == 0 and lo >> 32 == 0xFFFF:
            for mac in asset.macs:
                behind[mac] += 1
    return {mac for mac, n in behind.items() if n >= _ROUTED}


def _maker(address: Address, asset: Asset, routers: set[int], vendor: Callable[[str], str | None]) -> str | None:
    """The maker behind the first hardware address that is the asset's own."""
    if is_group(address):
        return None
    own = sorted(asset.macs - routers) or ([address[1]] if address[0] == L2_TAG else [])
    return vendor(mac_text(own[0])) if own else None
