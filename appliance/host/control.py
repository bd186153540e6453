"""One line of JSON asks, one line answers, over a Unix stream socket: what the keeper, the enforcer and their clients share.

Who may be asked, and how much may be said at once, stands here; `lines` has the side that answers.
"""

from __future__ import annotations

import json
import pwd
import socket
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Any

from appliance.decide.records import MAX_BYTES as GENERATION_BYTES
from appliance.errors import AwayError, LiveError, RulesError, SekishoError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Json = dict[str, Any]
SENSOR = "sekisho-sensor"  # the user of the sensor, where each process has one of its own
DEEPEST = 16  # objects and lists in each other in a request; the deepest of ours has six
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """A process that answers, and how many bytes a line may have.

    socket           its name in the runtime directory
    trusted, others  a line of those whom the process trusts, of everybody else; answer: one of its own
    refused, away    what a client raises where it refuses, and where it does not answer
    start            what to do where it does not answer; document: where its requests are described
    """

    name: str
    socket: str
    trusted: int
    others: int
    answer: int
    refused: type[SekishoError]
    away: type[SekishoError]
    start: str
    document: str


KEEPER = Line(
    "keeper",
    "keeper.sock",
    trusted=1 << 20,
    others=64 << 10,
    answer=4 << 20,
    refused=LiveError,
    away=LiveError,
    start="is `sekisho run` running with this configuration?",
    document="docs/operate.md",
)
ENFORCER = Line(
    "enforcer",
    "enforcer.sock",
    trusted=GENERATION_BYTES,
    others=8 << 10,  # a lease
    answer=4 << 20,
    refused=RulesError,
    away=AwayError,
    start="start it with: sekisho enforcer",
    document="docs/enforcement.md",
)


def request(line: bytes, of: Line) -> Json:
    """The object in a line. Raises what `of` refuses with, in one line, for anything else."""
    try:
        asked = json.loads(line, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise of.refused(f"malformed request ({' '.join(str(error).split())[:120]}); see {of.document}") from error
    if not isinstance(asked, dict):
        raise of.refused('a request is one JSON object in a line, such as {"verb":"status"}; see ' + of.document)
    if _is_deep(asked):  # whoever keeps it must be able to write it again, from deeper in the program than here
        raise of.refused(f"malformed request (nested deeper than {DEEPEST}); see {of.document}")
    return asked


def _is_deep(asked: Json) -> bool:
    level: list[Any] = [asked]
    for _ in range(DEEPEST):
        inside = (value for one in level for value in (one.values() if isinstance(one, dict) else one))
        level = [value for value in inside if isinstance(value, dict | list)]
    return bool(level)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(number: str) -> float:
    value = float(number)
    if isinf(value):  # what is kept must be told again, and JSON has no word for it
        raise ValueError(f"{number[:20]} is too large")
    return value


def verb_of(asked: Json, keys: Mapping[str, set[str]], more: Mapping[str, set[str]] | None = None) -> str:
    """The verb of a request that has all of its `keys`, maybe some of `more`, and no others. Raises LiveError in one line."""
    verb = asked.get("verb")
    if not isinstance(verb, str) or verb not in keys:
        raise LiveError("unknown verb; one of " + ", ".join(sorted(keys)))
    if set(asked) - {"verb"} - (more or {}).get(verb, set()) != keys[verb]:
        raise LiveError(f"{verb}: takes exactly {', '.join(sorted(keys[verb])) or 'nothing'}")
    return verb


def named(by: object) -> str:
    """Who says that it is asking. Raises LiveError where nobody does."""
    if not isinstance(by, str) or not 0 < len(by) <= 80 or not by.isprintable():
        raise LiveError("by: say who asks, in one to eighty characters")
    return by


def refusal(why: str) -> Json:
    """The answer that refuses, in one line."""
    return {"ok": False, "error": " ".join(why.split())[:1000]}


def listen(path: Path, mode: int = 0o660, *, backlog: int = 16) -> socket.socket:
    """A listening socket at `path`. Raises LiveError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise LiveError(f"{path}: no socket can be made there ({error}); check the folder, its owner, [state] runtime") from error
    return listener


def ask(path: Path, wanted: Json, of: Line = KEEPER, timeout: float = 10.0) -> Json:
    """Ask once, `timeout` in s; the answer without "ok". Raises what `of` says, with its own line where it refuses."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(timeout)
            peer.connect(str(path))
            peer.sendall(json.dumps(wanted, separators=(",", ":")).encode() + b"\n")
            answer = json.loads(read_line(peer, of.answer))
    except PermissionError as error:
        why = f"{path}: you may not ask the {of.name}; use sudo, or join the group of that socket (ls -l {path})"
        raise of.away(why) from error
    except (OSError, ValueError) as error:
        raise of.away(f"{path}: the {of.name} does not answer ({error}); {of.start}") from error
    if not isinstance(answer, dict) or answer.pop("ok", None) is not True:
        raise of.refused(str(answer.get("error", "no reason")) if isinstance(answer, dict) else "no answer that can be read")
    return answer


def is_answering(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(2)
        try:
            peer.connect(str(path))
        except OSError:
            return False
    return True


def read_line(peer: socket.socket, limit: int) -> bytes:
    """One line of a blocking peer, `limit` bytes and a piece at most. Raises ValueError where it does not end, OSError."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = peer.recv(_PIECE)
        if not piece or len(line) > limit:
            raise ValueError("no whole line came")
        line += piece
    return bytes(line)


def sensor_uids() -> frozenset[int]:
    """The uid of the sensor's own user, where there is one."""
    try:
        return frozenset({pwd.getpwnam(SENSOR).pw_uid})
    except KeyError:
        return frozenset()
