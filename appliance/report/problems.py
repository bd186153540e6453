"""What is wrong with the appliance itself, in words: what, and what to do. For the snapshot, `status` and `doctor`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MANY = 5  # problems of one kind that are told
Problem = tuple[str, float, str]  # one of NAMES, since when (s since the epoch), why

_WORDS = {
    "en": {
        "store-aside": (
            "the incident store was damaged; it was set aside as {why} and a new one was begun",
            "restore a backup if the old incidents are needed; check the disk (smartctl, dmesg)",
        ),
        "store": (
            "incidents cannot be written to the disk ({why}); {waiting} records wait in memory",
            "make room on the disk or make it writable; they are written then by themselves",
        ),
        "store-newer": (
            "incidents are not kept: {why}",
            "an older sekisho was installed over a newer one: install the newer one again (docs/update.md)",
        ),
        "clock": (
            "the clock of this box was set by {why}",
            "times of incidents before that are by the old clock; let NTP or PTP keep it (timedatectl)",
        ),
        "clock-behind": (
            "the clock of this box cannot be right: it says {why}, before this program was made",
            "set it, or let NTP or PTP keep it (timedatectl); until then times of incidents are wrong",
        ),
        "store-full": (
            "the incident store reached its size: {why} incidents that were open were removed",
            "close what is done (sekisho incident close), or raise [state] store_mib",
        ),
        "sensor": ("the sensor has told nothing for {why} s", "see the sensor's lines: journalctl -u sekisho-sensor"),
        "sensor-never": ("the sensor has told nothing yet", "see the sensor's lines: journalctl -u sekisho-sensor"),
        "baseline": (
            "the baseline cannot be used ({why}); it watches with the copy of the last sound one",
            "put a sound one back (sekisho restore), or accept again what was accepted last",
        ),
        "feed": ("{why} records of the sensor were lost because they could not be kept in time", "look at the findings on site"),
        "packets": ("{why}", "make room on the disk; if it was read-only: make it writable and systemctl restart sekisho-sensor"),
        "interface": ("{why}", "check the cable, the port and [capture] interfaces"),
        "reporter": ("the reporter does not say how it stands: {why}", "see its lines: journalctl -u sekisho-reporter"),
        "metrics": (
            "metrics cannot be served: {why}",
            "another program has that address and port, or there is no such address here: see [metrics] listen",
        ),
        "response": ("incidents are not answered: {why}", "see docs/enforcement.md, or take [enforce] out"),
        "dropped": ("{why}", "raise [capture] ring_mib, or leave out what need not be watched ([capture] ignore)"),
        "report-keeper": ("incidents cannot be pulled for reporting: {why}", "they are reported when the keeper answers"),
        "report-disk": (
            "reports cannot be kept: {why}",
            "make room on the disk, or raise [report] outbox_mib; until then the keeper keeps them",
        ),
        "report-form": ("incidents were not reported because they had another form: {why}", "please report it as a defect"),
        "report-aside": (
            "the outbox of reports was damaged; it was set aside as {why} and a new one was begun",
            "what waited is pulled again; check the disk (smartctl, dmesg)",
        ),
        "report-waits": ("reports wait: {why}", "try the destination: sekisho reporter --test NAME"),
        "report-dropped": ("reports were dropped unsent: {why}", "restore the connection, or raise [report] outbox_mib"),
    },
    "ja": {
        "store-aside": (
            "インシデントの保存ファイルが壊れていたため {why} に退避し、新しく始めました",
            "以前のインシデントが必要ならバックアップから復元し、ディスクを確認してください (smartctl, dmesg)",
        ),
        "store": (
            "インシデントをディスクに書き込めません ({why})。{waiting} 件がメモリーで待っています",
            "ディスクの空きを作るか書き込み可能にしてください。その後は自動で書き込まれます",
        ),
        "store-newer": (
            "インシデントが保存されていません: {why}",
            "新しい sekisho の上に古いものが入りました。新しいものを入れ直してください (docs/update.md)",
        ),
        "clock": (
            "この装置の時計が {why} 変更されました",
            "それ以前のインシデントの時刻は古い時計によります。NTP か PTP で合わせてください (timedatectl)",
        ),
        "clock-behind": (
            "この装置の時計は正しくありません: {why} を示していますが、このプログラムが作られるより前です",
            "時計を合わせるか NTP か PTP を使ってください (timedatectl)。それまでインシデントの時刻は正しくありません",
        ),
        "store-full": (
            "インシデントの保存量が上限に達し、未解決の {why} 件が消されました",
            "済んだものを閉じる (sekisho incident close) か、[state] store_mib を増やしてください",
        ),
        "sensor": ("センサーから {why} 秒間報告がありません", "センサーの記録を見てください: journalctl -u sekisho-sensor"),
        "sensor-never": ("センサーからまだ報告がありません", "センサーの記録を見てください: journalctl -u sekisho-sensor"),
        "baseline": (
            "ベースラインが使えません ({why})。最後の正常な写しで監視しています",
            "正常なものを戻す (sekisho restore) か、最後に受け入れた変更をもう一度受け入れてください",
        ),
        "feed": ("センサーの記録 {why} 件が間に合わず失われました", "現地で検出内容を確認してください"),
        "packets": (
            "{why}",
            "ディスクの空きを作ってください。読み取り専用だった場合は書き込み可能にして systemctl restart sekisho-sensor",
        ),
        "interface": ("{why}", "ケーブル、ポート、[capture] interfaces を確認してください"),
        "reporter": ("レポーターの状態が分かりません: {why}", "レポーターの記録を見てください: journalctl -u sekisho-reporter"),
        "metrics": (
            "メトリクスを提供できません: {why}",
            "他のプログラムが同じアドレスとポートを使っているか、そのアドレスがありません: [metrics] listen",
        ),
        "response": ("インシデントへの対応ができません: {why}", "docs/enforcement.md を見るか、[enforce] を外してください"),
        "dropped": ("{why}", "[capture] ring_mib を増やすか、監視不要なものを除いてください ([capture] ignore)"),
        "report-keeper": ("報告するインシデントを取得できません: {why}", "保存プロセスが応答すれば報告されます"),
        "report-disk": (
            "報告を保存できません: {why}",
            "ディスクの空きを作るか [report] outbox_mib を増やしてください。それまでは保存プロセスが保持します",
        ),
        "report-form": ("形式が異なるため報告されなかったインシデントがあります: {why}", "不具合として報告してください"),
        "report-aside": (
            "報告の送信待ちファイルが壊れていたため {why} に退避し、新しく始めました",
            "送信待ちだったものは再取得されます。ディスクを確認してください (smartctl, dmesg)",
        ),
        "report-waits": ("報告が送信待ちです: {why}", "送信先を試してください: sekisho reporter --test 名前"),
        "report-dropped": (
            "未送信のまま破棄された報告があります: {why}",
            "接続を直すか [report] outbox_mib を増やしてください",
        ),
    },
}
NAMES = tuple(_WORDS["en"])


def in_words(name: str, lang: str, why: object, waiting: int = 0) -> tuple[str, str]:
    """What is wrong and what to do, one line each. `name` is one of NAMES."""
    what, advice = _WORDS[lang][name]
    return what.format(why=why, waiting=waiting), advice


@dataclass(slots=True)
class Problems:
    """What is wrong with a process now: each by its name once, since when, and why by the last word of it."""

    _all: dict[str, tuple[float, str]] = field(default_factory=dict)

    def wrong(self, name: str, why: str, now: float) -> None:
        """Something is wrong at `now` (s since the epoch), or still is, maybe for another reason."""
        self._all[name] = self._all.get(name, (now,))[0], why

    def fine(self, *names: str) -> None:
        """These are not wrong, or not any more."""
        for name in names:
            self._all.pop(name, None)

    def all(self) -> list[Problem]:
        """In the order in which they came."""
        return [(name, since, why) for name, (since, why) in self._all.items()]


def of_sensor(record: Mapping[str, Any]) -> list[Problem]:
    """What is wrong by the sensor's own status record."""
    found: list[Problem] = []
    at = record["time"]
    if record.get("problem"):
        found.append(("baseline", at, str(record["problem"])[:300]))
    if record.get("lost"):
        found.append(("feed", at, str(record["lost"])[:20]))
    packets = record.get("packets")
    if isinstance(packets, dict) and packets.get("problem"):
        found.append(("packets", at, str(packets["problem"])[:300]))
    interfaces = [i for i in record.get("interfaces") or [] if isinstance(i, dict) and i.get("problem")]
    return found + [("interface", at, f"{str(i.get('name'))[:20]}: {str(i['problem'])[:300]}") for i in interfaces[:MANY]]


def told(found: Iterable[Problem], lang: str, waiting: int = 0) -> list[dict[str, Any]]:
    """Problems as a snapshot says them; `waiting`: records that wait in memory for the disk."""
    words = [(since, *in_words(name, lang, why, waiting)) for name, since, why in found]
    return [{"what": what, "since": since, "advice": advice} for since, what, advice in words]
