"""`sekisho baseline accept` and `baseline forget`: what a person says of a baseline is written into it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.decode.names import address_text
from appliance.detect.accept import deviations
from appliance.errors import UsageError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.host.clock import now_ns
from appliance.learn.baselines.ledger import MAX_ENTRIES, MAX_TEXT, Acceptance, Signed
from appliance.report.life import acceptance_lines
from appliance.report.reading import read_incident
from appliance.report.wording import moment, plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def run(arguments: argparse.Namespace) -> int:
    """Accept one incident, take one acceptance back, or list them."""
    out = Output()
    if arguments.list:
        baseline, _ = load_baseline(arguments.baseline)
        out.lines(acceptance_lines(baseline.ledger) or ["nothing was accepted"])
        out.flush()
        return 0
    if arguments.undo is not None:
        return _undo(arguments, out)
    if arguments.findings is None or arguments.incident is None:
        raise UsageError("accept: name the JSON lines and the incident (B today.jsonl i-7), or use --list or --undo ID")
    signed = signature(arguments)
    baseline, _ = load_baseline(arguments.baseline)
    told = read_incident(arguments.findings, _lines(arguments.findings), arguments.incident)
    try:
        allowed = deviations(told.findings)
    except ValueError as error:
        raise UsageError(
            f"{arguments.incident}: {error}; that is a storm and no change: learn anew with `learn --add`"
        ) from error
    acceptance = Acceptance(plain(told.title)[:300], signed, allowed)
    if len(baseline.ledger.accepted) >= MAX_ENTRIES:
        raise UsageError(f"{arguments.baseline}: {MAX_ENTRIES:,} acceptances are in it, no more fit; learn anew with `learn`")
    baseline.ledger.accepted[acceptance.id] = acceptance
    digest = save_baseline(Path(arguments.baseline).resolve(), baseline)
    out.line(f"accepted as {acceptance.id}: {acceptance.title} ({len(allowed):,} different deviations)")
    out.line(f"baseline {plain(arguments.baseline)} ({digest[:16]})")
    out.flush()
    return 0


def _undo(arguments: argparse.Namespace, out: Output) -> int:
    signed = signature(arguments)
    baseline, _ = load_baseline(arguments.baseline)
    ledger = baseline.ledger
    found = [name for name in ledger.accepted if name == arguments.undo and name not in ledger.undone]
    if not found:
        raise UsageError(
            f"--undo {arguments.undo}: no such acceptance is in force; `baseline accept {arguments.baseline} --list`"
        )
    ledger.undone[found[0]] = signed
    digest = save_baseline(Path(arguments.baseline).resolve(), baseline)
    out.line(f"taken back: {found[0]}; what it allowed alarms again")
    out.line(f"baseline {plain(arguments.baseline)} ({digest[:16]})")
    out.flush()
    return 0


def run_forget(arguments: argparse.Namespace) -> int:
    """From now on an asset counts anew."""
    out, signed = Output(), signature(arguments)
    baseline, _ = load_baseline(arguments.baseline)
    known = {address_text(*address) for address in baseline.assets}
    if arguments.asset not in known:
        raise UsageError(f"--asset {arguments.asset}: no such asset is in {arguments.baseline}; see `sekisho assets list`")
    baseline.ledger.forgotten[arguments.asset] = max(signed, baseline.ledger.forgotten.get(arguments.asset, signed))
    digest = save_baseline(Path(arguments.baseline).resolve(), baseline)
    mine = sum(arguments.asset in (address_text(*c.client), address_text(*c.server)) for c in baseline.conversations)
    since = moment(signed.when)[:19]
    out.line(
        f"{arguments.asset} is to be learned anew: what was last seen before {since} UTC does not count ({mine} conversations)"
    )
    out.line("capture it as it is now, and add it with: sekisho learn CAPTURE --baseline B --add")
    out.line(f"baseline {plain(arguments.baseline)} ({digest[:16]})")
    out.flush()
    return 0


def signature(arguments: argparse.Namespace) -> Signed:
    """Who, when and why. Raises UsageError where one is missing or too long."""
    words = {}
    for option in ("by", "why"):
        text = " ".join(plain(getattr(arguments, option) or "").split())
        if not text:
            raise UsageError(f"--{option}: missing; a change to the baseline says by whom and why (--by NAME --why TEXT)")
        if len(text) > MAX_TEXT:
            raise UsageError(f"--{option}: {len(text)} characters; at most {MAX_TEXT} are kept, say it shorter")
        words[option] = text
    at = getattr(arguments, "at", None)
    return Signed(now_ns() if at is None else _moment(at), words["by"], words["why"])


def _moment(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text}: not a time; write it like 2026-11-24T02:00:00+09:00") from error
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e6) * 1000


def _lines(path: str) -> Iterator[str]:
    try:
        with Path(path).open(encoding="ascii", newline="\n") as file:
            while line := file.readline((1 << 20) + 2):
                yield line
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not JSON lines; give what `sekisho detect --format jsonl` wrote") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}; check the path and its mode") from error
