"""[capture]: which interfaces are watched, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from appliance.errors import UsageError
from appliance.packets.fanout import MAX_SHARES
from appliance.packets.filters import Instruction, assemble, parse_program
from appliance.packets.ringshape import RingShape

if TYPE_CHECKING:
    from appliance.config.table import Table

_BLOCK = 1 << 16  # small: every `hold_ms` one is used up, however little it holds, so their number is what a pause may last
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Capture:
    """What is watched; `program` is the path of a BPF program, "" where `ignore` makes it."""

    interfaces: tuple[str, ...]
    ring_mib: int = 64
    latency_ms: int = 500
    promiscuous: bool = True
    offloads: str = "off"
    ignore: tuple[str, ...] = ()
    program: str = ""
    cores: int = 1

    @property
    def shape(self) -> RingShape:
        """The ring of one interface; a block is held back at most a tenth of the latency."""
        return RingShape(_BLOCK, self.ring_mib * _MIB // _BLOCK, min(max(self.latency_ms // 10, 8), 60))

    def instructions(self, program: str) -> tuple[Instruction, ...]:
        """The filter; `program` is the text of that file. Raises UsageError."""
        return tuple(parse_program(program, self.program) if self.program else assemble(list(self.ignore)))

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        capture = cls(
            interfaces=table.names("interfaces"),
            cores=table.number("cores", 1, 1, MAX_SHARES),
            ring_mib=table.number("ring_mib", 64, 1, 1024),
            latency_ms=table.number("latency_ms", 500, 10, 5000),
            promiscuous=table.flag("promiscuous", True),
            offloads=table.choice("offloads", "off", ("off", "check")),
            ignore=table.texts("ignore"),
            program=table.text("program", ""),
        )
        if capture.ignore and capture.program:
            raise UsageError(f"{table.name}: [capture] has both ignore and program; keep one of them")
        try:
            assemble(list(capture.ignore))
        except UsageError as error:
            raise UsageError(f"{table.name}: {error}") from error
        return capture
