"""One table of a TOML text, read strictly: every key is taken with its type, what is left over is refused by name."""

from __future__ import annotations

import re
from typing import Any

from appliance.errors import UsageError

INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
MAX_INTERFACES = 16
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


def duration(text: str) -> int:
    """A duration such as 90s, 10m, 1h30m or 2d in ns. Raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text) if _DURATION.fullmatch(text) else []
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total < 1e9:
        raise ValueError("not a duration; write it like 90s, 10m, 1h30m or 2d")
    return round(total * 1e9)


class Table:
    """One table of the text; every key that is taken is known, what is left is refused."""

    def __init__(self, name: str, title: str, plain: dict[str, Any]) -> None:
        self.name, self.title, self.plain = name, title, dict(plain)

    def wrong(self, key: str, why: str) -> UsageError:
        """What is raised for a key that is wrong."""
        return UsageError(f"{self.name}: {self.title} {key}: {why}".replace("  ", " "))

    def _take(self, key: str, kind: type, what: str) -> Any:
        value = self.plain.pop(key)
        if type(value) is not kind:
            raise self.wrong(key, f"{str(value)[:40]!r} is not {what}")
        return value

    def table(self, key: str) -> Table:
        """A table in it, empty where there is none."""
        return Table(self.name, f"[{key}]", self._take(key, dict, "a table") if key in self.plain else {})

    def text(self, key: str, default: str | None = None) -> str:
        """A text. Raises UsageError, as all of these do."""
        if key not in self.plain:
            if default is None:
                raise self.wrong(key, "is missing; add it")
            return default
        value: str = self._take(key, str, "a text")
        if "\0" in value or len(value) > 1024:
            raise self.wrong(key, "is no path; give one")
        return value

    def path(self, key: str, default: str | None = None) -> str:
        """A whole path. Raises UsageError."""
        value = self.text(key, default)
        if not value.startswith("/"):
            raise self.wrong(key, f"{value[:80]!r} does not begin with /; give the whole path")
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number between `low` and `high`."""
        value: int = self._take(key, int, "a whole number") if key in self.plain else default
        if not low <= value <= high:
            raise self.wrong(key, f"{value} is not within {low} and {high}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value: bool = self._take(key, bool, "true or false") if key in self.plain else default
        return value

    def choice(self, key: str, default: str, among: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in among:
            raise self.wrong(key, f"{value[:40]!r} is none of {', '.join(among)}")
        return value

    def duration(self, key: str, default: int) -> int:
        """A duration, ns."""
        if key not in self.plain:
            return default
        value: str = self._take(key, str, "a duration such as 10m")
        try:
            return duration(value)
        except ValueError as error:
            raise self.wrong(key, f"{value[:40]!r} is {error}") from error

    def texts(self, key: str) -> tuple[str, ...]:
        """Texts of at most 200 characters each."""
        values = self._take(key, list, "a list of texts") if key in self.plain else []
        if not all(isinstance(value, str) and len(value) <= 200 for value in values):
            raise self.wrong(key, "is not a list of texts")
        return tuple(values)

    def names(self, key: str) -> tuple[str, ...]:
        """Names of interfaces, 1 to MAX_INTERFACES different ones."""
        values = self.texts(key)
        if not 1 <= len(values) <= MAX_INTERFACES or len(set(values)) != len(values):
            raise self.wrong(key, f"names {len(values)} interfaces; name 1 to {MAX_INTERFACES} different ones")
        for value in values:
            if not INTERFACE.fullmatch(value):
                raise self.wrong(key, f"{value[:40]!r} is no name of an interface; see `ip link`")
        return values

    def end(self) -> None:
        """Nothing may be left over."""
        if self.plain:
            key = next(iter(self.plain))
            raise self.wrong(str(key)[:40], "is no key of it; see docs/cli.md for those there are")
