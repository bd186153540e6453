"""What `sekisho doctor --config` says of the machine and its processes; the form is that of `texts_doctor`."""

from __future__ import annotations

from typing import Final

TITLES: Final = {
    "running": ("Processes", "プロセス"),
    "learning": ("Learning", "学習"),
    "port": ("Port", "ポート"),
    "card": ("Network card", "ネットワークカード"),
    "drops": ("Frames lost here", "本機での取りこぼし"),
    "offloads": ("Receive offloads", "受信オフロード"),
    "look": ("Look at the mirror", "ミラーの確認"),
    "disk": ("Disk", "ディスク"),
    "sync": ("Time service", "時刻同期"),
    "rules": ("Kernel rules", "カーネルのルール"),
}

SEEN: Final = {
    "en": {
        "running.ok": "the appliance runs and reports nothing wrong; {open} incidents are open",
        "running.none": "the keeper does not answer: {why}",
        "running.told": "{what}",
        "learning.watching": "it watches",
        "learning.learning": "it learns since {learned}",
        "port.ok": "{port} is up",
        "port.none": "there is no {port} on this machine",
        "port.down": "{port} has no link",
        "card.ok": "{port}: none of {frames} frames was damaged or missed since it came up",
        "card.some": "{port}: {bad} frames were damaged or missed beside {frames} that were received",
        "drops.ok": "{port}: none of {frames} frames",
        "drops.some": "{port}: {dropped} of {frames} frames",
        "offloads.ok": "{port}: none is on",
        "offloads.on": "{port}: {which}",
        "look.refused": "{port} was not looked at: {why}",
        "disk.ok": "{free} free where state is kept",
        "disk.low": "{free} free where state is kept",
        "disk.readonly": "where state is kept nothing can be written",
        "disk.none": "{why}",
        "sync.ok": "the clock is kept by a time service",
        "sync.none": "the clock is not kept by a time service",
        "sync.unknown": "the kernel does not say whether the clock is kept",
        "sync.wrong": "the clock says {now}",
        "rules.ok": "nftables is here; the kernel looks into payloads: {payload}, resets connections: {reset}",
        "rules.untried": "nftables is here; what the kernel can was not tried (needs root)",
        "rules.weak": "this kernel takes no rule that looks into payloads (resets connections: {reset})",
        "rules.none": "{why}",
        "rules.unused": "nftables is not here, and nothing is enforced",
    },
    "ja": {
        "running.ok": "稼働中、異常の報告なし。未解決のインシデント {open} 件",
        "running.none": "キーパーが応答しません: {why}",
        "running.told": "{what}",
        "learning.watching": "監視中",
        "learning.learning": "学習中 ({learned})",
        "port.ok": "{port} は接続中",
        "port.none": "{port} はこの機械にありません",
        "port.down": "{port} は未接続",
        "card.ok": "{port}: 起動後の {frames} フレームに破損・取りこぼしなし",
        "card.some": "{port}: 受信 {frames} フレームのほかに破損・取りこぼし {bad}",
        "drops.ok": "{port}: {frames} フレーム中 0",
        "drops.some": "{port}: {frames} フレーム中 {dropped}",
        "offloads.ok": "{port}: すべてオフ",
        "offloads.on": "{port}: {which}",
        "look.refused": "{port} を確認できませんでした: {why}",
        "disk.ok": "状態の保存先の空き {free}",
        "disk.low": "状態の保存先の空き {free}",
        "disk.readonly": "状態の保存先に書き込めません",
        "disk.none": "{why}",
        "sync.ok": "時計は時刻同期されています",
        "sync.none": "時計は時刻同期されていません",
        "sync.unknown": "時刻同期の状態が分かりません",
        "sync.wrong": "時計は {now} を示しています",
        "rules.ok": "nftables あり。ペイロードの照合: {payload}、接続のリセット: {reset}",
        "rules.untried": "nftables あり。カーネルの機能は未確認 (root が必要)",
        "rules.weak": "このカーネルはペイロードを照合できません (接続のリセット: {reset})",
        "rules.none": "{why}",
        "rules.unused": "nftables がありません (遮断は使っていません)",
    },
}

MEANS: Final = {
    "en": {
        "running.none": ("Nothing is watched now.", "Start it: systemctl start sekisho.target, or sekisho run --config FILE."),
        "running.told": ("The appliance says so itself.", "{advice}"),
        "learning.learning": ("Nothing is judged before it has learned enough.", "Let it run; see sekisho status."),
        "port.none": ("It cannot be watched.", "See `ip link` for those that are here; correct [capture] interfaces."),
        "port.down": ("Nothing arrives on it.", "Plug in the cable, or switch the port on at the other end."),
        "card.some": (
            "Frames arrive damaged (cable, connector, duplex), or faster than the card takes them.",
            "Exchange the cable, compare speed and duplex of both ends; see ethtool -S PORT.",
        ),
        "drops.some": (
            "The ring was full: this machine was too slow, or stopped, for a while.",
            "Raise [capture] ring_mib, or leave out what need not be watched ([capture] ignore).",
        ),
        "offloads.on": (
            "They join frames before they are seen: lengths and times are not those of the wire.",
            'Set [capture] offloads = "off", or switch them off with ethtool -K.',
        ),
        "look.refused": ("Whether the mirror shows what it should cannot be told.", "Become root, and see the cause above."),
        "disk.low": (
            "Incidents and packets will soon have no room.",
            "Make room; see [packets] keep_mib and [learning] spool_mib.",
        ),
        "disk.readonly": (
            "Nothing that is found can be kept.",
            "Mount it for writing; where it became read-only by itself, the disk fails.",
        ),
        "disk.none": ("Nothing that is found can be kept.", "Correct [state] directory, or make the folder."),
        "sync.none": (
            "Times of incidents drift away from those of other devices.",
            "Let a time service run (systemd-timesyncd, chrony).",
        ),
        "sync.unknown": ("Times of incidents may drift.", "See timedatectl."),
        "sync.wrong": ("Times of incidents are wrong.", "Set the clock, and let a time service run."),
        "rules.weak": (
            "Allowed and forbidden functions of one service cannot be told apart in the kernel.",
            "Use Linux 6.1 (Debian 12) or later; policies are held by address and port only.",
        ),
        "rules.none": ("[enforce] asks for rules, and none can be set.", "Install nftables (libnftables1)."),
    },
    "ja": {
        "running.none": (
            "現在、何も監視されていません。",
            "起動してください: systemctl start sekisho.target または sekisho run --config FILE",
        ),
        "running.told": ("本機自身の報告です。", "{advice}"),
        "learning.learning": ("十分に学習するまで判断しません。", "そのまま動かし、sekisho status で確認してください。"),
        "port.none": ("監視できません。", "`ip link` で確認し、[capture] interfaces を直してください。"),
        "port.down": ("何も届きません。", "ケーブルを接続するか、相手側のポートを有効にしてください。"),
        "card.some": (
            "フレームが壊れて届く (ケーブル、コネクター、デュプレックス) か、カードの処理が間に合いません。",
            "ケーブルを交換し、両端の速度とデュプレックスを確認してください (ethtool -S ポート)。",
        ),
        "drops.some": (
            "リングがいっぱいになりました。本機が遅すぎたか、一時停止していました。",
            "[capture] ring_mib を増やすか、監視不要なものを除いてください ([capture] ignore)。",
        ),
        "offloads.on": (
            "フレームが見える前に結合され、長さと時刻が回線上と違います。",
            '[capture] offloads = "off" にするか、ethtool -K で切ってください。',
        ),
        "look.refused": ("ミラーが正しいか判断できません。", "root で実行し、上の原因を確認してください。"),
        "disk.low": (
            "まもなくインシデントとパケットを保存できなくなります。",
            "空きを作ってください。[packets] keep_mib と [learning] spool_mib も確認してください。",
        ),
        "disk.readonly": (
            "見つけたものを保存できません。",
            "書き込み可能でマウントしてください。自然に読み取り専用になった場合はディスクの故障です。",
        ),
        "disk.none": ("見つけたものを保存できません。", "[state] directory を直すか、フォルダーを作ってください。"),
        "sync.none": (
            "インシデントの時刻がほかの機器とずれていきます。",
            "時刻同期 (systemd-timesyncd、chrony) を動かしてください。",
        ),
        "sync.unknown": ("インシデントの時刻がずれる恐れがあります。", "timedatectl を確認してください。"),
        "sync.wrong": ("インシデントの時刻が間違っています。", "時計を合わせ、時刻同期を動かしてください。"),
        "rules.weak": (
            "同じサービスの許可・禁止の機能をカーネルで区別できません。",
            "Linux 6.1 (Debian 12) 以降を使ってください。それまではアドレスとポートだけで制限されます。",
        ),
        "rules.none": ("[enforce] に必要なルールを設定できません。", "nftables (libnftables1) をインストールしてください。"),
    },
}  # fmt: skip
