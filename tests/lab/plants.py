"""Which hosts a plant has and what they poll. `net` is the first three numbers of its addresses ("10.40.0")."""

from __future__ import annotations

from typing import Any

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
