"""Incidents as one mail: the gravest first, each once in its latest revision, at most so many in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.report.event import headline, severity
from appliance.report.wording import moment, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.report.event import About, Event

MOST: Final = 40  # incidents in full
_WORDS: Final[dict[str, dict[str, Any]]] = {
    "en": {
        "incidents": "{n} incidents",
        "incident": "1 incident",
        "test": "TEST, nothing happened",
        "more": "and {n} more incidents",
        "closed": "closed",
        "open": "open",
        "impact": "Impact",
        "what": "What to do",
        "plan": "Work plan",
        "severity": ("", "informational", "low", "medium", "high", "critical"),
        "cause": {"security": "security", "fault": "fault", "maintenance": "maintenance", "unknown": "unknown"},
        "head": "Reported by gateway {gateway}. Times are UTC.",
        "foot": "In full at the gateway: sekisho incident show ID",
    },
    "ja": {
        "incidents": "インシデント {n} 件",
        "incident": "インシデント 1 件",
        "test": "テスト（実際には何も起きていません）",
        "more": "ほか {n} 件",
        "closed": "完了",
        "open": "未完了",
        "impact": "影響",
        "what": "対応",
        "plan": "作業計画",
        "severity": ("", "情報", "低", "中", "高", "重大"),
        "cause": {"security": "セキュリティ", "fault": "故障", "maintenance": "保守", "unknown": "不明"},
        "head": "ゲートウェイ {gateway} からの報告です。時刻は UTC です。",
        "foot": "詳細はゲートウェイで: sekisho incident show ID",
    },
}


def digest(events: Sequence[Event], about: About) -> tuple[str, str]:
    """Subject and text, in the language of `about`; nothing in them breaks a line or a terminal."""
    words = _WORDS.get(about.language, _WORDS["en"])
    latest = {str(event.record["id"]): event for event in events}
    ranked = sorted(latest.values(), key=lambda e: (e.closed, -severity(e.record), -float(e.record["updated"])))
    count = str(words["incident"] if len(ranked) == 1 else words["incidents"]).format(n=len(ranked))
    gravest = words["severity"][max(severity(event.record) for event in ranked)]
    test = f"{words['test']}: " if any(event.test for event in events) else ""
    subject = plain(f"[sekisho {about.gateway}] {test}{count}, {gravest}: {headline(ranked[0])}")[:200]
    parts = [str(words["head"]).format(gateway=about.gateway)]
    parts += [_one(event, words) for event in ranked[:MOST]]
    if len(ranked) > MOST:
        parts.append(str(words["more"]).format(n=len(ranked) - MOST))
    return subject, "\n\n".join([*parts, str(words["foot"])]) + "\n"


def _one(event: Event, words: dict[str, Any]) -> str:
    record = event.record
    grave = words["severity"][severity(record)]
    cause = words["cause"][record["cause"]]
    state = words["closed" if event.closed else "open"]
    when = moment(round(record["opened"] * 10**9))
    sure = "" if record["cause"] == "unknown" else f" {record['confidence']:.0%}"
    lines = [f"{record['id']}  {grave}  {cause}{sure}  {state}  {when}  {record['technique']}".rstrip()]
    lines.append(plain(headline(event)))
    if record["impact"]:
        lines.append(f"{words['impact']}: {plain(record['impact'])}")
    if record["advice"]:
        lines.append(f"{words['what']}:")
        lines += [f"  {number}. {plain(text)}" for number, text in enumerate(record["advice"], 1)]
    if record["plan"]:
        lines.append(f"{words['plan']}: {plain(record['plan'])}")
    return "\n".join(lines)
