"""What work plans say of an incident. (English, Japanese)."""

from __future__ import annotations

from typing import Final

PLANS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Planned work \"{name}\": {title}", "計画作業「{name}」: {title}"),
    "inside": ("Covered by the work plan \"{name}\".", "作業計画「{name}」の範囲内です。"),
    "inside.ticket": ("Covered by the work plan \"{name}\" (ticket {ticket}).",
                      "作業計画「{name}」（票 {ticket}）の範囲内です。"),
    "contact": ("{sentence} Contact: {contact}.", "{sentence}連絡先: {contact}。"),
    "outside": ("Not in any work plan.", "どの作業計画にもありません。"),
    "late": ("Not in the work plan \"{name}\" at this time; it has no further window.",
             "作業計画「{name}」の時間外です。以後の予定はありません。"),
    "next": ("Not in the work plan; next window {day} {time} (\"{name}\").",
             "作業計画の時間外です。次の時間帯は {day} {time}（「{name}」）。"),
    "day.0": ("Monday {date}", "{date} 月曜日"),
    "day.1": ("Tuesday {date}", "{date} 火曜日"),
    "day.2": ("Wednesday {date}", "{date} 水曜日"),
    "day.3": ("Thursday {date}", "{date} 木曜日"),
    "day.4": ("Friday {date}", "{date} 金曜日"),
    "day.5": ("Saturday {date}", "{date} 土曜日"),
    "day.6": ("Sunday {date}", "{date} 日曜日"),
}  # fmt: skip
