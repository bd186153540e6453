"""Which of an incident's features speak for its cause, in words: (English, Japanese) by theme, and when a theme is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

MOST: Final = 3  # reasons that are told
_WEAK: Final = 0.02  # what moved the trees less is no reason to tell

EVIDENCE: Final[dict[str, tuple[str, str]]] = {
    "ev.stranger": ("whoever asks was never seen before", "要求元がこれまで見られなかった機器であること"),
    "ev.person": (
        "it comes from a known station that talks rarely, as people work",
        "人が使う既知の端末からの通信であるため",
    ),
    "ev.cyclic": ("it comes from a machine that normally only polls", "通常は定期通信のみを行う機器からの通信であること"),
    "ev.unused": ("it uses a service that it never used", "これまで使わなかったサービスを使っていること"),
    "ev.nobody-new": ("nobody new takes part", "新しい相手が関わっていないこと"),
    "ev.new-pair": ("known machines talk that never talked", "既知の機器同士で、これまでにない通信が始まったこと"),
    "ev.failure-first": ("the failure came first", "最初に障害が起きていること"),
    "ev.act-first": ("somebody acted before the failure", "障害の前に操作が行われていること"),
    "ev.failures": ("connections or answers fail", "接続や応答に障害があること"),
    "ev.no-failures": ("nothing failed", "障害は起きていないこと"),
    "ev.searches": ("addresses are searched", "アドレスが探索されていること"),
    "ev.moved": ("an address moved to other hardware", "アドレスが別のハードウェアに移ったこと"),
    "ev.after-silence": ("the other hardware came after a silence", "通信断の後に別のハードウェアが現れたこと"),
    "ev.without-silence": ("two pieces of hardware use one address", "一つのアドレスを二つのハードウェアが使っていること"),
    "ev.kin": ("the newcomer does what its kind does here", "新しい機器の振る舞いが同種の機器と同じであること"),
    "ev.same-maker": ("the new hardware is of the same maker", "新しいハードウェアが同じメーカーのものであること"),
    "ev.other-maker": ("the new hardware is of another maker", "新しいハードウェアが別のメーカーのものであること"),
    "ev.taken": ("the new hardware belongs to another known machine", "新しいハードウェアが別の既知の機器のものであること"),
    "ev.shared": ("one piece of hardware takes several addresses", "一つのハードウェアが複数のアドレスを名乗っていること"),
    "ev.writes": ("values are written", "値の書き込みが行われたこと"),
    "ev.controls": ("a device is told to restart or stop", "機器の再起動や停止が指示されたこと"),
    "ev.programs": ("a program is touched", "プログラムが操作されたこと"),
    "ev.looks": ("devices are asked what they are", "機器情報が照会されたこと"),
    "ev.new-requests": ("something new is asked for", "これまでにない要求があること"),
    "ev.no-new-requests": ("nothing new is asked for", "新しい要求はないこと"),
    "ev.answers": ("answers changed", "応答の内容が変わったこと"),
    "ev.refusals": ("devices refuse", "機器が要求を拒否していること"),
    "ev.floods": ("far too much is sent", "通信量が極端に多いこと"),
    "ev.contradicts": ("data contradicts itself", "データに食い違いがあること"),
    "ev.new-ids": ("connections were set up anew", "接続がやり直されていること"),
    "ev.fast": ("it goes fast, as programs do", "人の操作より速く進んでいること"),
    "ev.slow": ("it goes slowly, as people work", "人の操作のようにゆっくり進んでいること"),
    "ev.several": ("several devices are concerned", "複数の機器に及んでいること"),
    "ev.one": ("one device is concerned", "関わる機器は 1 台だけであること"),
}

Test = Callable[[float], bool]


def _some(x: float) -> bool:
    return x > 0


def _none(x: float) -> bool:
    return x <= 0


_FAILS: Final = (("ev.failures", _some), ("ev.no-failures", _none))
_MOVED: Final = (("ev.moved", _some),)
_ASKS: Final = (("ev.new-requests", _some), ("ev.no-new-requests", _none))
_STRANGER: Final = (("ev.stranger", _some), ("ev.nobody-new", _none))

# feature -> themes with the values for which they are true; features without a row are not told.
THEMES: Final[dict[str, tuple[tuple[str, Test], ...]]] = {
    "actor.stranger": _STRANGER,
    "actor.presence": (("ev.person", lambda x: 0 <= x < 0.5), ("ev.cyclic", lambda x: x >= 0.5)),
    "actor.used": (("ev.unused", lambda x: x == 0),),
    "actor.pairs": (("ev.new-pair", lambda x: x == 0),),
    "failure.first": (("ev.failure-first", lambda x: x > 0), ("ev.act-first", lambda x: x < 0)),
    "part.silent": _FAILS,
    "part.refused": (("ev.failures", _some),),
    "failure.span": (("ev.failures", _some),),
    "affected": _FAILS,
    "part.scan": (("ev.searches", _some),),
    "part.dark": (("ev.searches", _some),),
    "part.mild": (("ev.kin", _some),),
    "part.twice": (("ev.without-silence", _some),),
    "part.moved": _MOVED,
    "moved": _MOVED,
    "moved.shared": (("ev.moved", _some), ("ev.shared", lambda x: x > 1)),
    "moved.twice": (("ev.without-silence", _some),),
    "moved.after": (("ev.after-silence", lambda x: x >= 0),),
    "moved.vendor": (("ev.same-maker", lambda x: x > 0.5), ("ev.other-maker", lambda x: 0 <= x <= 0.5)),
    "moved.taken": (("ev.taken", _some),),
    "intent.write": (("ev.writes", _some),),
    "intent.control": (("ev.controls", _some),),
    "intent.program": (("ev.programs", _some),),
    "intent.look": (("ev.looks", _some),),
    "part.asked": _ASKS,
    "requests": _ASKS,
    "commands": _ASKS,
    "same.requests": _ASKS,
    "part.answered": (("ev.answers", _some),),
    "changed-for": (("ev.answers", lambda x: x >= 0),),
    "variants.answers": (("ev.answers", _some),),
    "same.answers": (("ev.answers", _some),),
    "errors": (("ev.refusals", _some),),
    "part.many": (("ev.floods", _some),),
    "part.evasion": (("ev.contradicts", _some),),
    "part.identity": (("ev.new-ids", _some),),
    "act.pace": (("ev.fast", lambda x: x > 0.9), ("ev.slow", lambda x: 0 < x < 0.5)),
    "servers": (("ev.several", lambda x: x > 1), ("ev.one", lambda x: x <= 1)),
}


def evidence(row: Mapping[str, float], reasons: Sequence[tuple[str, float]]) -> list[str]:
    """Themes that speak for a cause, the strongest first, at most MOST.

    row      features of the incident by name; reasons: features with what they moved, as a model's `reasons` gives them
    """
    weight: dict[str, float] = {}
    for name, moved in reasons:
        for theme, true in THEMES.get(name, ()):
            if true(row[name]):
                weight[theme] = weight.get(theme, 0.0) + moved
    told = sorted((theme for theme, moved in weight.items() if moved >= _WEAK), key=lambda t: (-weight[t], t))
    return told[:MOST]
