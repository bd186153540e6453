"""The enforcer: the only process that may change the kernel's rules. It parses no traffic.

One request is one line of JSON over a Unix stream socket, one line answers it. Who asks is told by the kernel (SO_PEERCRED):
root and the operators may do all, others only ask for leases and for the status. Every act is written through to the disk
first, then told to the kernel; when the kernel refuses, what was written is taken back. Its death changes nothing: rules
stay, leases and trials end by the kernel's own clock. Started as `sekisho enforcer`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.decide.gate import held_back
from appliance.decide.policy import Limits
from appliance.decide.records import generation_from, lease_from, lease_json
from appliance.decide.rules import Generation, Mode
from appliance.enforce import desk as acts
from appliance.enforce.changes import Tables
from appliance.enforce.leases import forget
from appliance.enforce.listing import digest
from appliance.errors import RulesError, UsageError
from appliance.host.clock import now_ns
from appliance.host.control import ENFORCER, Json, named, verb_of
from appliance.host.enforcer.ledger import Ledger
from appliance.host.enforcer.nft import Nft, Watch
from appliance.host.enforcer.shadow import Counting, opaque_of, shadow_json
from appliance.host.lines import LineServer
from appliance.host.notify import Notifier

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

TICK = 1.0  # seconds between looks at the clock
NOTE_NS = 3600 * 1_000_000_000  # between two notes of what shadow has counted: of ten thousand assets each takes a megabyte
KEYS: dict[str, set[str]] = {
    "status": set(),
    "opaque": set(),
    "ends": {"after"},
    "shadow": set(),
    "acts": {"limit"},
    "apply": {"generation", "seconds", "by"},
    "confirm": {"by"},
    "rollback": {"by"},
    "lease": {"lease", "by"},
    "try": {"lease", "by"},
    "renew": {"id", "until", "by"},
    "undo": {"id", "by"},
}
MORE = {"apply": {"cycle", "force"}}  # what may be said too
ANYBODY = {"status", "opaque", "ends", "shadow", "lease", "renew", "try"}


@dataclass(slots=True)
class Enforcer:
    """One desk, its kernel and its ledger."""

    ledger: Ledger
    nft: Nft
    limits: Limits
    desk: acts.Desk
    shadow: Counting
    digest: str = ""
    healed: int = 0
    _noted: int = field(default_factory=now_ns)  # when what shadow has counted was written down last
    _stop: bool = False
    _watch: Watch = field(default_factory=Watch)

    @classmethod
    def open(cls, state: Path, limits: Limits, *, bridge: bool = False) -> Enforcer:
        """Take up the work where it was left. Raises RulesError."""
        ledger = Ledger(state / "enforcer.sqlite")
        saved = ledger.states()
        try:
            begun = saved.keys() & {"rules", "leases"}  # before the first act only what the kernel should list is kept
            desk = acts.desk_from(saved["rules"], saved["leases"]) if begun else acts.Desk(Generation(0, bridge=bridge))
            shadow = Counting.from_state(saved.get("shadow"), int(saved.get("laid", now_ns())), desk.generations)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise RulesError(f"{state / 'enforcer.sqlite'}: the state in it is damaged; restore a copy, or remove it") from error
        enforcer = cls(ledger, Nft(), limits, desk, shadow, str(saved.get("digest", "")))
        enforcer.tick()
        if enforcer._changed():
            enforcer._lay_out(acts.whole(enforcer.desk, now_ns()), sound=False)
            ledger.keep(enforcer._kernel())
        return enforcer

    def _changed(self) -> bool:
        return digest(self.nft.listing(self.desk.confirmed.bridge)) != self.digest

    def _lay_out(self, tables: Tables, *, sound: bool = True) -> None:
        """Tables anew; what the kernel then lists is what it should list. `sound`: those before were ours, and counted well."""
        if tables.policy and sound:
            self.shadow.before(self.nft, now_ns())
        self.nft.run(tables.text)
        self._watch.forget_own()
        if tables.policy:
            self.shadow.go_on(self.desk.generations, now_ns())
        self.digest = digest(self.nft.listing(self.desk.confirmed.bridge))

    def carry_out(self, act: acts.Act) -> None:
        """Disk first, then kernel; both or none. Raises RulesError."""
        before, now = self.desk, now_ns()
        small = not isinstance(act.change, Tables)
        self.ledger.write(now, act.record, self._states(act.desk, small=small))
        try:
            self.desk = act.desk
            if isinstance(act.change, Tables):
                self._lay_out(act.change)
            elif act.change.text:
                self.nft.run(act.change.text)
        except RulesError as error:
            self.desk = before
            record = {"what": "refused by the kernel", "by": "", "of": act.record, "why": str(error)}
            self.ledger.write(now_ns(), record, self._states(before, small=small))
            raise
        if not small:
            self.ledger.keep(self._kernel())

    def _kernel(self) -> Json:
        """What the kernel should list, since when its counters count, and what was counted before."""
        return {"digest": self.digest, "laid": self.shadow.laid, "shadow": self.shadow.state()}

    def _states(self, desk: acts.Desk, *, small: bool) -> Json:
        """What is kept on disk: leases always, generations where they changed."""
        leases = {"leases": acts.leases_json(desk)}
        return leases if small and self.ledger.states_known else leases | {"rules": acts.rules_json(desk)} | self._kernel()

    def tick(self) -> None:
        """What time has ended."""
        for act in acts.tick(self.desk, now_ns()):
            self.carry_out(act)

    def heal(self) -> None:
        """Somebody changed the kernel's rules: where they were ours, lay them out again."""
        changes = self._watch.changes()
        if changes and self._changed():
            self._lay_out(acts.whole(self.desk, now_ns()), sound=False)
            self.ledger.keep(self._kernel())
            self.healed += 1
            names = ", ".join(sorted({f"{c.name} ({c.pid})" for c in changes})[:4])
            self.ledger.write(now_ns(), {"what": "rules changed by another program, laid out again", "by": "", "who": names})

    def answer(self, asked: Json, uid: int, operators: frozenset[int]) -> Json:
        """Answer one request of a user. Raises SekishoError in one line where it is wrong, or not for this user."""
        with contextlib.suppress(RulesError):  # a kernel that refuses is told the same again at the next turn
            self.tick()  # first, so that nothing is confirmed or renewed that is over
        verb = verb_of(asked, KEYS, MORE)
        if verb not in ANYBODY and uid not in operators:
            raise RulesError(f"user {uid} may not {verb}; ask an operator of this appliance")
        try:
            return self._do(verb, asked)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise RulesError(f"malformed request ({' '.join(str(error).split())[:120]}); see {ENFORCER.document}") from error

    def _do(self, verb: str, request: Json) -> Json:
        if verb == "status":
            return self.status()
        if verb == "opaque":
            return {"opaque": self._opaque()}
        if verb == "ends":
            ends = self.ledger.since(int(request["after"]), (acts.ENDED, acts.UNDONE))
            return {"ends": [[x["lease"], x["time"], x["what"] == acts.UNDONE] for x in ends]}
        if verb == "shadow":
            return shadow_json(self.desk.generations[-1].number, self.shadow.look(self.nft, now_ns()))
        if verb == "acts":
            return {"acts": self.ledger.acts(min(1000, max(1, int(request["limit"]))))}
        by = named(request["by"])
        now = now_ns()
        if verb == "apply":
            act = self._apply(request, by, now)
        elif verb == "confirm":
            act = acts.confirm(self.desk, by, now)
        elif verb == "rollback":
            act = acts.rollback(self.desk, by, now)
        elif verb == "renew":
            act = self._renew(request, by, now)
        elif verb in ("lease", "try"):
            act = self._lease(request["lease"], by, now)
            if verb == "try":
                self.ledger.write(now, act.record | {"what": "lease tried"})
                return self.status()
        else:
            act = acts.undo(self.desk, str(request["id"]), by)
        self.carry_out(act)
        return self.status()

    def _apply(self, request: Json, by: str, now: int) -> acts.Act:
        """Rules on trial, where the gate lets everything go up, or a reason stands for it; or the record of the refusal."""
        wanted, why = generation_from(request["generation"]), request.get("force", "")
        if not isinstance(why, str) or len(why) > 400 or (why and not why.isprintable()):
            raise RulesError("force: say the reason in at most four hundred characters")
        act = acts.apply(self.desk, wanted, int(request["seconds"]), by, now, why)
        seen = {} if why else self.shadow.look(self.nft, now)
        held = [] if why else held_back(self.desk.confirmed, wanted, seen, int(request.get("cycle", 0)), by)
        if held:
            more = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
            error = f"{held[0]}{more}; wait, see `sekisho policy promote`, or say why not with --force REASON"
            self.ledger.write(now, {"what": "apply refused", "by": by, "generation": wanted.number, "why": error})
            raise RulesError(error)
        return act

    def _lease(self, value: Json, by: str, now: int) -> acts.Act:
        """A lease, or the record of its refusal."""
        wanted = lease_from(value)
        try:
            return acts.lease(self.desk, wanted, self.limits, by, now)
        except RulesError as error:
            self.ledger.write(now, {"what": "lease refused", "by": by, "lease": wanted.id, "why": str(error)})
            raise

    def _renew(self, request: Json, by: str, now: int) -> acts.Act:
        """The renewal of a lease, or the record of its refusal."""
        name = str(request["id"])
        try:
            return acts.renew(self.desk, name, int(request["until"]), self.limits, by, now)
        except RulesError as error:
            self.ledger.write(now, {"what": "renewal refused", "by": by, "lease": name, "why": str(error)})
            raise

    def _opaque(self) -> int:
        """Packets that passed without a look inside."""
        with contextlib.suppress(RulesError):  # somebody removed the table: `heal` lays it out again
            return opaque_of(self.nft, self.desk.confirmed)
        return 0

    def status(self) -> Json:
        """What is in force, in plain types."""
        d = self.desk
        return {
            "generation": d.confirmed.number,
            "bridge": d.confirmed.bridge,
            "previous": d.previous.number if d.previous else None,
            "trial": d.trial.number if d.trial else None,
            "until": d.until,
            "healed": self.healed,
            "leases": [lease_json(x) | {"target": str(x.target or "")} for x in d.leases.values()],
            "made": list(d.made),
        }

    def serve(self, listener: socket.socket, operators: frozenset[int]) -> None:
        """Answer until a signal ends it; the listener is closed then."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        notifier = Notifier.of(os.environ)
        server = LineServer(listener, ENFORCER, lambda asked, uid: self.answer(asked, uid, operators), operators)
        server.watch(self._watch.socket.fileno(), self._keep)
        notifier.ready(f"generation {self.desk.confirmed.number} in force")
        while not self._stop:
            notifier.alive()
            server.turn(TICK)
            self._keep()
        notifier.stopping()
        self._note_shadow(0)
        server.close()

    def _keep(self) -> None:
        """The rules as they should be: what is over is tidied, what others changed is laid out again."""
        with contextlib.suppress(RulesError):  # tried again at the next turn
            self.tick()
            self.heal()
            self._note_shadow(NOTE_NS)

    def _note_shadow(self, after: int) -> None:
        """What shadow has counted goes to the disk once the last time is so long ago, ns: a power cut costs no more of it."""
        now = now_ns()
        if abs(now - self._noted) >= after and any(p.mode is Mode.SHADOW for p in self.desk.generations[-1].protected):
            with contextlib.suppress(RulesError):
                self.shadow.look(self.nft, now)
                self.ledger.keep({"shadow": self.shadow.state()})
            self._noted = now

    def _end(self, *_: object) -> None:
        self._stop = True


def operators_of(uids: list[int]) -> frozenset[int]:
    """Who may do all: root, the enforcer's own user, and those named."""
    return frozenset({0, os.getuid(), *uids})


def uids_of(names: Sequence[str]) -> list[int]:
    """Users by name or number. Raises UsageError."""
    found = []
    for name in names:
        try:
            found.append(int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid)
        except KeyError as error:
            raise UsageError(f"[enforce] operators: there is no user {name!r} here; see `getent passwd`") from error
    return found


def make_folders(*folders: Path) -> None:
    """Folders that may not be there yet. Raises RulesError."""
    for folder in folders:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RulesError(f"{folder}: cannot be made ({error.strerror}); check its owner, or [state]") from error


def forget_rules() -> bool:
    """Remove our tables of a router and of a bridge; whether there were any. Raises RulesError."""
    nft = Nft()
    laid = [bridge for bridge in (False, True) if any(nft.listing(bridge))]
    for bridge in laid:
        nft.run(forget(bridge))
    return bool(laid)
