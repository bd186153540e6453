"""Which hosts a plant has and what they poll. `net` is the first three numbers of its addresses ("10.40.0")."""

from __future__ import annotations

from typing import Any

from tests.lab import dose
from tests.lab.stage import Host

Item = dict[str, Any]


def poll(host: str, fc: int, address: int, count: int, period: float, unit: int = 1) -> Item:
    """Return a cyclic Modbus read."""
    return {"host": host, "fc": fc, "address": address, "count": count, "period": period, "unit": unit}


def operate(host: str, fc: int, address: int, choices: list[Any], period: float, unit: int = 1) -> Item:
    """Return a write an operator does now and then."""
    return {"host": host, "fc": fc, "address": address, "choices": choices, "period": period, "unit": unit}


def identify(host: str, period: float, unit: int = 1) -> Item:
    """Return the rare read of the device identification (function 43)."""
    return {"host": host, "fc": 43, "period": period, "unit": unit}


def office(net: str) -> list[Host]:
    """Return the switch with LLDP, an office PC with mDNS and SSDP, and the time server."""
    return [
        Host("clock", f"{net}.2", "chatter", {"time_server": True, "lldp": 10.0}),
        Host("office", f"{net}.50", "chatter", {"mdns": 7.0, "ssdp": 13.0, "beacon": 9.0}),
    ]


def modbus(net: str, *, cable: str = "", slow: float = 1.0) -> list[Host]:
    """Return three devices, an HMI that polls and operates, a historian that reads and reconnects.

    cable  name of the device that hangs on a cable which can go bad
    slow   factor on all poll periods, for plants that share a capture
    """
    tank, heater, meter = f"{net}.11", f"{net}.12", f"{net}.13"
    ntp = {"ntp": f"{net}.2"}
    hmi = [
        poll(tank, 3, 0, 10, 0.5 * slow), poll(tank, 1, 0, 8, 1.0 * slow), poll(tank, 2, 0, 8, 1.0 * slow),
        poll(heater, 3, 0, 10, 1.0 * slow), poll(heater, 1, 0, 8, 2.0 * slow),
        operate(tank, 6, 4, [560, 600, 640], 9.0), operate(heater, 6, 4, [700, 720, 740], 11.0),
        operate(tank, 5, 2, [True, False], 10.0),
    ]  # fmt: skip
    historian = [
        poll(tank, 4, 0, 4, 2.0 * slow), poll(heater, 4, 0, 4, 2.0 * slow), poll(meter, 4, 0, 12, 1.0 * slow, 3),
        identify(tank, 17.0), identify(heater, 19.0), identify(meter, 23.0, 3), poll(tank, 3, 40, 10, 14.0),
    ]  # fmt: skip
    return [
        Host("tank", tank, "modbus_device", {"model": "tank", "product": "TK-8", **ntp}, cable=cable == "tank"),
        Host("heater", heater, "modbus_device", {"model": "heater", "product": "HT-4", **ntp}, cable=cable == "heater"),
        Host("meter", meter, "modbus_device", {"model": "meter", "product": "EM-3", "unit": 3}, cable=cable == "meter"),
        Host("hmi", f"{net}.21", "modbus_client", {"items": hmi, **ntp}),
        Host("historian", f"{net}.22", "modbus_client", {"items": historian, "reconnect": 25.0, **ntp}),
    ]


def tank(net: str) -> list[Host]:
    """Return one tank and an HMI that polls level, flows, states and pressure twice a second, and operates."""
    at = f"{net}.11"
    items = [
        poll(at, 3, 0, 10, 0.5), poll(at, 1, 0, 8, 0.5), poll(at, 4, 0, 4, 0.5),
        operate(at, 6, 4, [560, 600, 640], 9.0), operate(at, 5, 2, [True, False], 10.0),
    ]  # fmt: skip
    return [
        Host("tank", at, "modbus_device", {"model": "tank", "product": "TK-8"}),
        Host("hmi", f"{net}.21", "modbus_client", {"items": items}),
    ]


def enip(net: str, *, slow: float = 1.0) -> list[Host]:
    """Return two controllers, an HMI that packs its reads and operates, a data logger that reads one tag at a time."""
    mixer, oven = f"{net}.31", f"{net}.32"
    hmi = [
        {"host": mixer, "tags": ["Level", "Flow", "Zones[0-3]", "Setpoint", "Running"], "period": 1.0 * slow, "packed": True},
        {"host": mixer, "tags": ["Watchdog"], "period": 0.5 * slow},
        {"host": oven, "tags": ["Zones[0-3]", "Cycles", "Running"], "period": 1.0 * slow, "packed": True},
        {"host": mixer, "choices": [[f"Setpoint=(DINT){value}"] for value in (560, 600, 640)], "period": 9.0},
        {"host": oven, "tags": ["@1/1/7"], "period": 18.0},
    ]
    logger = [
        {"host": mixer, "tags": ["Level"], "period": 1.0 * slow},
        {"host": oven, "tags": ["Cycles"], "period": 2.0 * slow},
        {"host": mixer, "tags": ["Recipe[0-5]"], "period": 12.0},
    ]
    return [
        Host("mixer", mixer, "enip_device"),
        Host("oven", oven, "enip_device"),
        Host("enip-hmi", f"{net}.41", "enip_client", {"items": hmi, "ntp": f"{net}.2"}),
        Host("logger", f"{net}.42", "enip_client", {"items": logger, "reconnect": 24.0}),
    ]


def bacnet(net: str, *, slow: float = 1.0) -> list[Host]:
    """Return three air handlers and a building management station that polls, operates and looks who is there."""
    units = {f"ahu{n}": f"{net}.{110 + n}" for n in (1, 2, 3)}
    items: list[Item] = []
    for address in units.values():
        many = [f"analog-input,{n}" for n in range(1, 5)] + ["analog-value,1", "binary-value,1"]
        items += [
            {"do": "read_many", "host": address, "objects": many, "period": 1.0 * slow},
            {"do": "read", "host": address, "object": "analog-input,9", "period": 0.7 * slow},
            {"do": "read", "host": address, "object": "binary-output,1", "period": 3.0 * slow},
        ]
    first = next(iter(units.values()))
    items += [
        {"do": "who_is", "low": 1, "high": 999, "period": 15.0},
        {"do": "write", "host": first, "object": "analog-value,1", "choices": [70.0, 72.0, 74.0], "period": 9.0},
        {"do": "read", "host": first, "object": "device,1", "property": "object-name", "period": 13.0},
        {"do": "read", "host": first, "object": "analog-value,2", "period": 11.0},
    ]
    return [
        *(Host(name, at, "bacnet_device", {"instance": n}) for n, (name, at) in enumerate(units.items(), 1)),
        Host("bms", f"{net}.121", "bacnet_client", {"instance": 100, "items": items, "ntp": f"{net}.2"}),
    ]


def dosing(net: str, *, slow: float = 1.0) -> list[Host]:
    """Return two dosing stations with a protocol nobody knows and the line controller that drives them."""
    stations = {f"{net}.131": 1, f"{net}.132": 2}
    items: list[Item] = []
    for host in stations:
        items += [
            {"host": host, "command": dose.STATUS, "period": 0.5 * slow},
            {"host": host, "command": dose.BEAT, "period": 2.0 * slow},
            {"host": host, "command": dose.RECIPE, "period": 8.0},
            {"host": host, "command": dose.DOSE, "choices": [[1, 250], [2, 180], [3, 90]], "period": 7.0},
        ]
    return [
        *(Host(f"dose{n}", at, "dose_device", {"station": n}) for at, n in stations.items()),
        Host("line", f"{net}.141", "dose_client", {"stations": stations, "items": items, "ntp": f"{net}.2"}),
    ]
