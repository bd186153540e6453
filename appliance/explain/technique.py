"""ATT&CK for ICS: which technique an incident looks like, and the techniques' names.

Ids are those of ATT&CK v18 and before, the ones that tools and tables in the field know. Version 19 (April 2026) turned a
few of them into sub-techniques: T0855, T0856 and T0857 are T1692.001, T1692.002 and T1693.001 there. A technique says how, not
who: it is given only where the cause is not a fault or maintenance.
"""

from __future__ import annotations

from typing import Final

from appliance.detect.finding import Kind
from appliance.explain.facts import ACTS, Facts
from appliance.protocols import Intent

# id -> (English name as in ATT&CK, Japanese name); the comment says when we give it.
TECHNIQUES: Final[dict[str, tuple[str, str]]] = {
    "T0801": ("Monitor Process State", "プロセス状態の監視"),  # process data is read that was never read
    "T0814": ("Denial of Service", "サービス妨害"),  # a flood, or a device told to fall silent
    "T0816": ("Device Restart/Shutdown", "機器の再起動・停止"),  # a restart or reset is commanded
    "T0830": ("Adversary-in-the-Middle", "中間者攻撃"),  # an address moved to other hardware
    "T0836": ("Modify Parameter", "パラメータの変更"),  # a known write carries a value never seen
    "T0843": ("Program Download", "プログラムのダウンロード"),  # logic goes to a controller, or it is locked for it
    "T0845": ("Program Upload", "プログラムのアップロード"),  # logic is read from a controller
    "T0846": ("Remote System Discovery", "リモートシステムの探索"),  # addresses or devices are searched
    "T0848": ("Rogue Master", "不正なマスター"),  # a newcomer gives commands to devices
    "T0855": ("Unauthorized Command Message", "不正なコマンドメッセージ"),  # a command never seen
    "T0856": ("Spoof Reporting Message", "報告メッセージの偽装"),  # answers nobody asked for, or that contradict the process
    "T0857": ("System Firmware", "システムファームウェアの改変"),  # firmware goes to a device
    "T0858": ("Change Operating Mode", "動作モードの変更"),  # start, stop, run or program mode
    "T0869": ("Standard Application Layer Protocol", "標準アプリケーション層プロトコルの悪用"),  # a new talk, no act known
    "T0885": ("Commonly Used Port", "一般的なポートの悪用"),  # a new talk over ports that pass everywhere
    "T0886": ("Remote Services", "リモートサービスの悪用"),  # a new talk over remote access or file sharing
    "T0888": ("Remote System Information Discovery", "リモートシステム情報の探索"),  # a device is asked what it is
}

# Remote access and file sharing: SSH, Telnet, RPC, NetBIOS, SMB, RDP, VNC, WinRM. Names a technique, detects nothing.
_REMOTE = frozenset({"tcp/22", "tcp/23", "tcp/135", "tcp/139", "tcp/445", "tcp/3389", "tcp/5900", "tcp/5985", "tcp/5986"})
_COMMON = frozenset({"tcp/80", "tcp/443", "tcp/8080", "udp/53", "tcp/53"})

# Parts of a service's name -> technique, for acts whose kind alone says too little. The first that fits counts.
_BY_SERVICE: Final[tuple[tuple[Intent, str, str], ...]] = (
    (Intent.CONTROL, "Restart", "T0816"),
    (Intent.CONTROL, "Reinitialize", "T0816"),
    (Intent.CONTROL, "Reset", "T0816"),
    (Intent.CONTROL, "Listen Only", "T0814"),
    (Intent.CONTROL, "DeviceCommunicationControl", "T0814"),
    (Intent.CONTROL, "Start", "T0858"),
    (Intent.CONTROL, "Stop", "T0858"),
    (Intent.CONTROL, "Mode", "T0858"),
    (Intent.PROGRAM, "Firmware", "T0857"),
    (Intent.PROGRAM, "Upload", "T0845"),
    (Intent.PROGRAM, "Read", "T0845"),
)
_BY_ACT: Final[dict[Intent, str]] = {
    Intent.PROGRAM: "T0843",
    Intent.CONTROL: "T0855",
    Intent.SCAN: "T0846",
    Intent.IDENTIFY: "T0888",
    Intent.DIAGNOSE: "T0888",
    Intent.READ: "T0801",
}
_BY_KIND: Final[tuple[tuple[Kind, str], ...]] = (
    (Kind.UNKNOWN_COMMAND, "T0855"),
    (Kind.REPLAY, "T0855"),
    (Kind.WRONG_ORDER, "T0855"),
    (Kind.UNASKED_ANSWER, "T0856"),
    (Kind.WRONG_ECHO, "T0856"),
    (Kind.PROCESS_CONTRADICTION, "T0856"),
)


def technique(facts: Facts, cause: str, service: str) -> str:
    """The technique's id for an incident, "" where none fits.

    cause     one of the four words; faults and maintenance have no technique
    service   the transport service of the leading finding ("tcp/445")
    """
    if cause in ("fault", "maintenance"):
        return ""
    for kind, found in (
        (Kind.SCAN, "T0846"),
        (Kind.DUPLICATE_ADDRESS, "T0830"),
        (Kind.ADDRESS_CHANGE, "T0830"),
        (Kind.FLOOD, "T0814"),
    ):
        if facts.kinds[kind]:
            return found
    by_service = next((i for act, part, i in _BY_SERVICE if act is facts.act and any(part in s for s in facts.services)), "")
    if by_service:
        return by_service
    if facts.act is Intent.WRITE:
        return _write(facts)
    if facts.act in _BY_ACT:
        return _BY_ACT[facts.act]
    if facts.kinds[Kind.DARK_ADDRESS] and cause == "security":
        return "T0846"
    if facts.newcomer:
        return "T0886" if service in _REMOTE else "T0885" if service in _COMMON else "T0869"
    if facts.requests or not facts.kinds[Kind.UNKNOWN_COMMAND]:
        return next((found for kind, found in _BY_KIND if facts.kinds[kind]), "")
    return ""


def _write(facts: Facts) -> str:
    """A write: by a newcomer, with a value never seen, or of a kind never seen."""
    if facts.newcomer and facts.intents & ACTS:
        return "T0848"
    if facts.kinds[Kind.UNKNOWN_COMMAND]:
        return "T0855"
    return "T0836"


def name(technique_id: str, lang: str) -> str:
    """The technique's name in "en" or "ja"; "" for an id that is not in the table."""
    names = TECHNIQUES.get(technique_id)
    return "" if names is None else names[1] if lang == "ja" else names[0]
