"""The layout's own words, in English and Japanese. The words of an incident itself come from `explain`.

A label is text with named places (`{count}`); both languages have the same keys and the same places.
"""

from __future__ import annotations

from typing import Final

from appliance.errors import UsageError

LANGUAGES: Final = ("en", "ja")

LABELS: Final[dict[str, tuple[str, str]]] = {
    # causes, as badges
    "cause.security": ("security", "セキュリティ"),
    "cause.fault": ("fault", "故障"),
    "cause.maintenance": ("maintenance", "保守作業"),
    "cause.unknown": ("unknown cause", "原因不明"),
    # kinds of findings, as short nouns
    "kind.new-asset": ("new asset", "新しい機器"),
    "kind.new-conversation": ("new conversation", "新しい通信"),
    "kind.scan": ("scan", "探索"),
    "kind.address-change": ("address moved to other hardware", "アドレスの機器変更"),
    "kind.unknown-command": ("unknown command", "未知のコマンド"),
    "kind.unknown-value": ("unknown value", "未知の値"),
    "kind.unknown-combination": ("unknown combination", "未知の組み合わせ"),
    "kind.wrong-length": ("wrong length", "長さの異常"),
    "kind.broken-framing": ("broken framing", "区切りの破損"),
    "kind.wrong-identity": ("identity changed inside the connection", "接続中の識別子の変化"),
    "kind.wrong-echo": ("answer repeats the wrong bytes", "応答の不一致"),
    "kind.unasked-answer": ("answer nobody asked for", "要求のない応答"),
    "kind.missing-answer": ("missing answer", "応答なし"),
    "kind.silence": ("silence", "通信の途絶"),
    "kind.period-change": ("period changed", "周期の変化"),
    "kind.wrong-order": ("wrong order", "順序・時機の異常"),
    "kind.replay": ("replay", "再送（リプレイ）"),
    "kind.flood": ("flood", "大量送信"),
    "kind.connection-failure": ("connection failed", "接続の失敗"),
    "kind.process-contradiction": ("contradicts the process", "プロセスとの矛盾"),
    "kind.overlap": ("overlapping segments differ", "重なるセグメントの不一致"),
    "kind.similar-asset": ("new asset like others", "同種の新しい機器"),
    "kind.role-change": ("role changed", "役割の変化"),
    "kind.dark-address": ("address nobody uses", "未使用アドレスへの通信"),
    "kind.duplicate-address": ("two devices, one address", "アドレスの重複"),
    "kind.readdressed": ("known device, new address", "既知機器のアドレス変更"),
    "kind.identity-change": ("identity changed", "識別情報の変化"),
    "kind.new-service": ("new group service", "新しい一斉送信サービス"),
    "kind.damage": ("damaged frame", "フレームの破損"),
    # an incident
    "open": ("open", "未解決"),
    "closed": ("closed", "完了"),
    "seen": ("seen", "今回"),
    "normal": ("normally", "通常"),
    "frame": ("frame {frame}", "フレーム {frame}"),
    "absence": ("no frame", "フレームなし"),
    "byte": ("byte {bytes}", "バイト {bytes}"),
    "bytes": ("bytes {bytes}", "バイト {bytes}"),
    "times": ("{count} times", "{count} 回"),
    "more.places": ("and {count} more like these", "同様の箇所がほかに {count} 件"),
    "more.bytes": ("{count} more bytes", "残り {count} バイト"),
    "findings": ("{count} findings", "検知 {count} 件"),
    "finding": ("1 finding", "検知 1 件"),
    "during": ("during {span}", "{span} 継続"),
    "advice": ("what to do", "対処"),
    "impact": ("impact", "影響"),
    "plan": ("work plan", "作業計画"),
    "because": ("why", "理由"),
    "technique": ("technique", "攻撃手法"),
    "utc": ("UTC", "UTC"),
    # the closing line
    "close.none": ("Nothing abnormal", "異常はありません"),
    "close.one": ("1 incident", "インシデント 1 件"),
    "close.many": ("{count} incidents", "インシデント {count} 件"),
    "close.read": ("{frames} frames in {span}", "{frames} フレーム（{span}）"),
    "close.damaged": ("{count} damaged", "破損 {count}"),
    # the page
    "page.title": ("What happened on this network", "このネットワークで起きたこと"),
    "page.frames": ("frames", "フレーム"),
    "page.captured": ("captured", "記録時間"),
    "page.assets": ("assets", "機器"),
    "page.conversations": ("conversations", "通信"),
    "page.findings": ("findings", "検知"),
    "page.damaged": ("damaged frames", "破損フレーム"),
    "page.incidents": ("incidents", "インシデント"),
    "page.map": ("Who talks to whom", "通信の地図"),
    "page.map.note": (
        "Learned from the traffic alone. A line's colour is its service, its thickness the number of messages; red was never "
        "seen while learning, or belongs to an incident.",
        "通信だけから学習した結果です。線の色はサービス、太さはメッセージ数を表します。赤は学習時になかったもの、"
        "またはインシデントに関わるものです。",
    ),
    "page.map.empty": ("No conversation was seen.", "通信は見られませんでした。"),
    "page.map.clients": ("Asks", "要求する側"),
    "page.map.both": ("Asks and answers", "両方"),
    "page.map.servers": ("Answers", "応答する側"),
    "page.map.group": ("{count} addresses", "{count} アドレス"),
    "page.map.folded": (
        "{count} addresses are drawn in groups to keep the map legible.",
        "見やすくするため {count} アドレスをまとめて描いています。",
    ),
    "page.map.other": ("other services", "その他のサービス"),
    "page.map.abnormal": ("new or abnormal", "新規・異常"),
    "page.map.messages": ("{count} messages", "メッセージ {count} 件"),
    "page.map.unseen": ("The {count} thinnest lines are left out.", "最も細い {count} 本の線は省いています。"),
    "page.map.incident": ("incident {number}", "インシデント {number}"),
    "network.elsewhere": ("several networks", "複数のネットワーク"),
    "network.broadcast": ("to everybody", "一斉送信"),
    "network.hardware": ("by hardware address", "ハードウェアアドレス"),
    "page.time": ("When", "時間の流れ"),
    "page.time.note": ("Frames in {span} each; marks are incidents.", "棒は {span} ごとのフレーム数、印はインシデントです。"),
    "page.asset.table": ("Assets", "機器一覧"),
    "page.who": ("who", "関係機器"),
    "page.quiet": (
        "Everything seen here was known from learning, in place and in time.",
        "見られた通信はすべて、内容も時期も学習済みのものでした。",
    ),
    "page.incidents.more": (
        "{count} more incidents are in the JSON lines; this page shows the first {shown}.",
        "残り {count} 件は JSON Lines にあります。このページは最初の {shown} 件を示します。",
    ),
    "page.confidence": ("confidence {percent} %", "確度 {percent} %"),
    "page.made": (
        "Written by Sekisho; this page needs nothing else and loads nothing.",
        "Sekisho が作成。このページは単独で読め、外部から何も読み込みません。",
    ),
    # assets
    "asset.address": ("address", "アドレス"),
    "asset.macs": ("hardware", "ハードウェア"),
    "asset.vendor": ("vendor", "製造者"),
    "asset.device": ("device", "機器"),
    "asset.roles": ("roles", "役割"),
    "asset.offers": ("offers", "提供"),
    "asset.uses": ("uses", "利用"),
    "asset.peers": ("peers", "相手"),
    "asset.first": ("first seen", "初回"),
    "asset.last": ("last seen", "最終"),
    "asset.frames": ("frames", "フレーム"),
    "asset.count": ("{count} assets", "機器 {count} 台"),
    "asset.new": ("new", "新規"),
    "role.client": ("client", "クライアント"),
    "role.server": ("server", "サーバー"),
    "role.gateway": ("gateway", "ゲートウェイ"),
}  # fmt: skip


def label(lang: str, key: str, **values: object) -> str:
    """The label in one of `LANGUAGES`, with its places filled. A role without a label is shown as it is.

    Raises UsageError for a language there is no text in, KeyError for a key that does not exist.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"language {lang!r}: there are no texts in it; use one of {', '.join(LANGUAGES)}")
    return LABELS[key][LANGUAGES.index(lang)].format(**values)


def role(lang: str, name: str) -> str:
    """The word for an asset's role; roles that only `learn` knows are shown by their own name."""
    return label(lang, f"role.{name}") if f"role.{name}" in LABELS else name
