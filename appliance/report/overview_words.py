"""Words of the screen of `sekisho status`, in English and Japanese: the same keys and the same places in both."""

from __future__ import annotations

from typing import Final

from appliance.errors import UsageError
from appliance.report.labels import LANGUAGES

WORDS: Final[dict[str, tuple[str, str]]] = {
    # the first two lines
    "running": ("running for {span}", "稼働 {span}"),
    "LEARNING": ("LEARNING", "学習中"),
    "WATCHING": ("WATCHING", "監視中"),
    "NOTHING": ("NOT CAPTURING", "取得していません"),
    "since": ("since {time} UTC", "{time} UTC から"),
    "fine": ("all is well", "問題ありません"),
    "attention": ("needs attention: {what}", "要対応: {what}"),
    "why.sensor": ("the sensor tells nothing", "センサーから報告がありません"),
    "why.interfaces": ("{count} interfaces not watched", "監視できないインターフェース {count} 件"),
    "why.interface": ("1 interface not watched", "監視できないインターフェース 1 件"),
    "why.incidents": ("{count} incidents open", "未解決のインシデント {count} 件"),
    "why.incident": ("1 incident open", "未解決のインシデント 1 件"),
    "why.trial": ("rules on trial", "ルールが試行中"),
    "why.problems": ("{count} problems", "不具合 {count} 件"),
    "why.problem": ("1 problem", "不具合 1 件"),
    # rows
    "row.learned": ("learned", "学習"),
    "row.seen": ("seen", "観測"),
    "row.interfaces": ("interfaces", "接続口"),
    "row.incidents": ("incidents", "インシデント"),
    "row.rules": ("rules", "ルール"),
    "row.reports": ("reports", "報告先"),
    "row.disk": ("disk", "ディスク"),
    "row.problems": ("problems", "不具合"),
    # learned
    "learned": ("{span} of traffic", "{span} 分の通信"),
    "new": ("up to {percent} % of what comes next may be new", "今後の通信のうち新しいものは最大 {percent} %"),
    "nothing": ("nothing was seen that could be learned yet", "学習できるものがまだ見られていません"),
    "short": ("too short to judge anything", "判断にはまだ短すぎます"),
    "learning": ("not enough yet", "まだ不十分です"),
    "enough": ("enough to watch", "監視に十分です"),
    "left": ("at least {span} more", "少なくともあと {span}"),
    "over": ("it ends with the next look at it", "次の確認で終わります"),
    # seen
    "frames": ("{frames} frames, {size}", "{frames} フレーム、{size}"),
    "damaged": ("{count} damaged", "破損 {count}"),
    "left.out": ("{count} not learned for lack of disk", "ディスク不足で学習できず {count}"),
    "findings": ("{count} findings", "検知 {count} 件"),
    "told": ("95 % of them told within {span}", "95 % は {span} 以内に報告"),
    # interfaces
    "up": ("up", "接続"),
    "down": ("DOWN", "切断"),
    "lossless": ("{frames} frames, no loss", "{frames} フレーム、欠落なし"),
    "loss": ("{frames} frames, {lost} LOST ({percent} %)", "{frames} フレーム、欠落 {lost} ({percent} %)"),
    "offloads": ("receive offloads on: {names}", "受信オフロードが有効: {names}"),
    # incidents
    "none.open": ("none open", "未解決なし"),
    "so.far": ("{count} so far", "これまで {count} 件"),
    "open": ("{count} open", "未解決 {count} 件"),
    # rules
    "off": ("nothing is blocked: the enforcer does not run", "遮断なし: エンフォーサーは動いていません"),
    "generation": ("generation {number} in force", "第 {number} 世代が有効"),
    "generation.none": ("no policy in force", "有効なポリシーなし"),
    "trial": (
        "generation {number} ON TRIAL for {span} more; confirm it: sekisho policy confirm",
        "第 {number} 世代が試行中 (残り {span})。確定: sekisho policy confirm",
    ),
    "posture.": ("incidents are told, nothing is blocked by itself", "インシデントは通知のみ、自動では遮断しません"),
    "posture.observe": ("observe: nothing is blocked by itself", "observe: 自動では遮断しません"),
    "posture.shadow": ("shadow: what would be blocked is only counted", "shadow: 遮断すべきものを数えるだけです"),
    "posture.enforce": ("ENFORCE: incidents are answered", "ENFORCE: インシデントに自動で対処します"),
    "leases": ("{count} leases in force", "有効なリース {count} 件"),
    "lease": ("1 lease in force", "有効なリース 1 件"),
    "lease.left": ("{span} left", "残り {span}"),
    "more": ("and {count} more", "ほか {count} 件"),
    # reports
    "no.reports": ("nothing is sent out of this site", "サイトの外へは何も送りません"),
    "sent": ("nothing waits; last sent {span} ago", "待ちなし。最終送信 {span} 前"),
    "never.sent": ("nothing waits, nothing was sent yet", "待ちなし。まだ送信はありません"),
    "waits": ("{count} wait, since {span}", "{count} 件待ち ({span} 前から)"),
    "gone": ("{count} LOST for lack of room", "空き不足で {count} 件を失いました"),
    # disk, problems
    "store": ("incidents take {used} of {cap}", "インシデント {used} / {cap}"),
    "none": ("none", "なし"),
    "for": ("for {span}", "{span} 前から"),
}  # fmt: skip


def word(lang: str, key: str, **values: object) -> str:
    """The words in one of LANGUAGES with their places filled. Raises UsageError for another language, KeyError for a key."""
    if lang not in LANGUAGES:
        raise UsageError(f"language {lang!r}: there are no texts in it; use one of {', '.join(LANGUAGES)}")
    return WORDS[key][LANGUAGES.index(lang)].format(**values)
