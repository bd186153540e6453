"""What `sekisho doctor` says of each check: what was seen, what it means, what to do.

`SEEN` has a text for every outcome; `MEANS` (what it means, what to do) one for every outcome that is not fine. Numbers come
ready for people.
"""

from __future__ import annotations

from typing import Final

TITLES: Final = {
    "traffic": ("Traffic", "通信"),
    "directions": ("Both directions", "両方向"),
    "copies": ("Frames seen twice", "二重のフレーム"),
    "vlan": ("VLAN tags", "VLANタグ"),
    "loss": ("Loss on the way to us", "取りこぼし"),
    "cut": ("Whole frames", "フレームの長さ"),
    "size": ("Frames joined by a driver", "結合されたフレーム"),
    "damage": ("Damaged frames", "壊れたフレーム"),
    "clock": ("Time stamps", "時刻"),
    "own": ("Our own traffic", "本機自身の通信"),
}

SEEN: Final = {
    "en": {
        "traffic.ok": "{frames} frames in {span}, {single} of them from one station to another",
        "traffic.few": "only {frames} frames in {span}",
        "traffic.none": "no frame in {span}",
        "traffic.group": "{frames} frames in {span}, and {group} of them are broadcasts or multicasts",
        "directions.ok": "both sides of all {flows} TCP connections; {busy} assets are spoken to and {unheard} of them silent",
        "directions.udp": "both sides: {busy} assets are spoken to, {unheard} of them silent",
        "directions.unknown": "too few connections to judge",
        "directions.one": "{one} of {flows} TCP connections show one side only, yet it got answers. Never heard: {who}",
        "directions.some": "{one} of {flows} TCP connections show one side only; the assets are heard elsewhere: {who}",
        "directions.silent": "{unheard} of {busy} assets that are spoken to never say anything: {who}",
        "copies.ok": "no frame twice among {told} that can be told",
        "copies.few": "{copies} of {told} frames are copies ({share}): {kinds}",
        "copies.many": "{copies} of {told} frames are copies ({share}): {kinds}",
        "copies.unknown": "too few frames that could be told from copies",
        "vlan.ok": "{vlans}",
        "vlan.both": "{untagged} frames without a tag beside {vlans}",
        "vlan.mixed": "{mixed} conversations have frames with a tag and frames without one ({vlans})",
        "loss.ok": "every one of {bytes} bytes that TCP peers acknowledged was in a frame",
        "loss.unknown": "no TCP payload to judge by",
        "loss.missed": "{missed} frames came too fast for this look itself",
        "loss.some": "{lost} bytes that their receivers acknowledged were in no frame ({share} of {bytes}, {flows} directions)",
        "cut.ok": "all frames are whole",
        "cut.some": "{cut} of {frames} frames were cut by the capture ({share})",
        "size.ok": "no frame is longer than a wire carries ({largest} bytes at most)",
        "size.some": "{large} of {frames} frames are longer than a wire carries, up to {largest} bytes",
        "damage.ok": "no damaged frame",
        "damage.some": "{damaged} of {frames} frames are damaged ({share})",
        "damage.unknown": "{unknown} of {frames} frames are of a link type that is not decoded",
        "clock.ok": "from {first} to {last}, never back by a second",
        "clock.none": "{timeless} of {frames} frames carry no time",
        "clock.back": "time went back {backward} times, by {most} at the most",
        "clock.wrong": "from {first} to {last}",
        "own.ok": "none of our own frames",
        "own.some": "{ours} of {frames} frames come from or go to this machine",
    },
    "ja": {
        "traffic.ok": "{span} に {frames} フレーム、うち {single} が機器どうしの通信",
        "traffic.few": "{span} に {frames} フレームだけ",
        "traffic.none": "{span} にフレームなし",
        "traffic.group": "{span} に {frames} フレーム、うち {group} がブロードキャストかマルチキャスト",
        "directions.ok": "TCP接続 {flows} 件すべてで両方向あり。宛先になる機器 {busy} 台のうち応答なし {unheard} 台",
        "directions.udp": "両方向あり。宛先になる機器 {busy} 台のうち応答なし {unheard} 台",
        "directions.unknown": "判断できるだけの接続がありません",
        "directions.one": "TCP接続 {flows} 件のうち {one} 件は片方向だけ (応答はあるはず)。一度も見えない機器: {who}",
        "directions.some": "TCP接続 {flows} 件のうち {one} 件は片方向だけ。ほかの接続では見える機器: {who}",
        "directions.silent": "宛先になる機器 {busy} 台のうち {unheard} 台が一度も送信しません: {who}",
        "copies.ok": "判別できる {told} フレームに二重のものはありません",
        "copies.few": "{told} フレームのうち {copies} がコピー ({share}): {kinds}",
        "copies.many": "{told} フレームのうち {copies} がコピー ({share}): {kinds}",
        "copies.unknown": "コピーを判別できるフレームが足りません",
        "vlan.ok": "{vlans}",
        "vlan.both": "タグなし {untagged} フレームと {vlans}",
        "vlan.mixed": "{mixed} 件の通信でタグありとタグなしのフレームが混在 ({vlans})",
        "loss.ok": "TCPで受信確認された {bytes} バイトはすべてフレームにありました",
        "loss.unknown": "判断できるTCPデータがありません",
        "loss.missed": "{missed} フレームはこの確認自体が間に合いませんでした",
        "loss.some": "受信確認されたのに見えなかったデータ {lost} バイト ({bytes} の {share}、{flows} 方向)",
        "cut.ok": "すべてのフレームが全長",
        "cut.some": "{frames} フレームのうち {cut} が途中で切られています ({share})",
        "size.ok": "回線より長いフレームはありません (最大 {largest} バイト)",
        "size.some": "{frames} フレームのうち {large} が回線の上限より長い (最大 {largest} バイト)",
        "damage.ok": "壊れたフレームはありません",
        "damage.some": "{frames} フレームのうち {damaged} が壊れています ({share})",
        "damage.unknown": "{frames} フレームのうち {unknown} が解読できないリンク種別です",
        "clock.ok": "{first} から {last} まで、1秒以上の逆戻りなし",
        "clock.none": "{frames} フレームのうち {timeless} に時刻がありません",
        "clock.back": "時刻が {backward} 回逆戻り、最大 {most}",
        "clock.wrong": "{first} から {last}",
        "own.ok": "本機自身のフレームはありません",
        "own.some": "{frames} フレームのうち {ours} が本機の送受信です",
    },
}

MEANS: Final = {
    "en": {
        "traffic.few": ("Too little to judge the mirror by.", "Look longer, or at a busier time."),
        "traffic.none": (
            "Nothing arrives here.",
            "Check the cable, that the port is up, and that the switch mirrors to this port.",
        ),
        "traffic.group": (
            "This port gets what a switch sends to every port, so it is no mirror port, or the wrong ports are mirrored.",
            "Set the switch to mirror the controllers' ports, both directions, to this port.",
        ),
        "directions.one": (
            "The mirror shows one direction only of these assets: their answers, or what is asked of them, cannot be watched.",
            "Mirror both directions (rx and tx, ingress and egress) of these assets' ports, or add the ports that are missing.",
        ),
        "directions.some": (
            "Part of the traffic takes a way that is not mirrored (a second switch, a ring, an aggregated link).",
            "Mirror the ports on the other way as well.",
        ),
        "directions.silent": (
            "Either these assets are off, or the mirror shows only one direction of their ports.",
            "Check that they are on; then mirror both directions of their ports.",
        ),
        "directions.unknown": ("Whether both directions are mirrored cannot be told.", "Look longer, while the plant runs."),
        "copies.few": (
            "Some frames arrive twice. They are told apart and counted once; frames without an IP identification are not.",
            "If ports are mirrored as frames enter and as they leave, mirror one of the two.",
        ),
        "copies.many": (
            "Most frames arrive more than once: that costs half of the mirror's capacity, and frames that cannot be told"
            " from copies count twice.",
            "Mirror frames as they enter only (or one side of the router, one of the VLANs).",
        ),
        "copies.unknown": ("Whether frames arrive twice cannot be told.", "Look longer, while the plant runs."),
        "vlan.both": (
            "Some conversations come with a tag and some without: the mirror shows a trunk, or several ports.",
            "This is right if both are wanted; a filter of [capture] ignore sees them differently.",
        ),
        "vlan.mixed": (
            "The mirror tags one direction and not the other.",
            "Set the switch to keep tags, or to strip them, on all mirrored ports alike.",
        ),
        "loss.some": (
            "The mirror, its cable or this machine loses frames: the plant itself had them. What is in them cannot be judged.",
            "Check the load of the mirror port (two directions on one port carry half each), and the drops of this machine.",
        ),
        "loss.missed": (
            "What the mirror loses cannot be told from that.",
            "Look at the frames that the sensor lost (above), or judge a capture.",
        ),
        "loss.unknown": ("Loss cannot be told from this traffic.", "Look at the drops of the interface (live)."),
        "cut.some": (
            "What stands behind the cut cannot be learned or judged.",
            "Capture whole frames (tcpdump -s 0; on a switch: no truncation of mirrored frames).",
        ),
        "size.some": (
            "A driver joined frames before they were seen (GRO, LRO, TSO), or jumbo frames are in use: lengths and times are not"
            " those of the wire.",
            "Switch offloads off on the port that captures (ethtool -K PORT gro off lro off tso off).",
        ),
        "damage.some": (
            "Headers contradict their frames: a faulty cable or device, or somebody who tries to evade.",
            "See which devices they come from; exchange the cable if they come from all.",
        ),
        "damage.unknown": ("These frames are not watched.", "Capture on an Ethernet port."),
        "clock.none": ("Without times no rhythm can be learned.", "Capture anew with a tool that writes times."),
        "clock.back": (
            "The clock was set while capturing, or captures were joined out of order: rhythms are not to be trusted.",
            "Let a time service run on the capturing machine (chrony, systemd-timesyncd); join captures with mergecap.",
        ),
        "clock.wrong": (
            "These times cannot be: the clock was not set.",
            "Set the clock of the capturing machine; let a time service run on it.",
        ),
        "own.some": (
            "This machine's own traffic is mirrored to it, and would be learned as the plant's.",
            "Use another port for management, or leave it out: [capture] ignore = [\"not host ADDRESS\"].",
        ),
    },
    "ja": {
        "traffic.few": ("ミラーを判断するには少なすぎます。", "もっと長く、または稼働中に確認してください。"),
        "traffic.none": (
            "ここには何も届いていません。",
            "ケーブル、ポートの状態、スイッチのミラー設定を確認してください。",
        ),
        "traffic.group": (
            "全ポートに送られるものしか届いていません。ミラーポートではないか、ミラー対象が違います。",
            "制御機器のポートの送受信両方をこのポートにミラーしてください。",
        ),
        "directions.one": (
            "これらの機器は片方向しかミラーされていません。応答または要求を監視できません。",
            "これらのポートの送信と受信の両方をミラーするか、足りないポートを追加してください。",
        ),
        "directions.some": (
            "一部の通信がミラーされていない経路を通っています (別のスイッチ、リング、リンクアグリゲーション)。",
            "その経路のポートもミラーしてください。",
        ),
        "directions.silent": (
            "機器が停止しているか、片方向しかミラーされていません。",
            "電源を確認し、両方向をミラーしてください。",
        ),
        "directions.unknown": ("両方向がミラーされているか判断できません。", "設備の稼働中にもっと長く確認してください。"),
        "copies.few": (
            "一部のフレームが二度届きます。判別できるものは一度と数えますが、IP識別子のないフレームは判別できません。",
            "送信と受信の両側でミラーしている場合は、片側だけにしてください。",
        ),
        "copies.many": (
            "ほとんどのフレームが二度以上届きます。ミラーの容量が半分になり、判別できないフレームは二重に数えられます。",
            "受信側だけ (またはルーターの片側、VLANの一つだけ) をミラーしてください。",
        ),
        "copies.unknown": ("二重かどうか判断できません。", "設備の稼働中にもっと長く確認してください。"),
        "vlan.both": (
            "タグありの通信とタグなしの通信があります。トランクか、複数のポートをミラーしています。",
            "両方必要ならこのままで構いません。[capture] ignore の条件はタグの有無で違って働きます。",
        ),
        "vlan.mixed": (
            "ミラーが片方向だけにタグを付けています。",
            "すべてのミラー対象ポートでタグを残すか外すか、同じ設定にしてください。",
        ),
        "loss.some": (
            "ミラー、ケーブル、または本機がフレームを失っています (設備側では届いています)。その内容は判断できません。",
            "ミラーポートの負荷 (一つのポートに両方向が入ります) と本機の取りこぼしを確認してください。",
        ),
        "loss.missed": (
            "ミラーの取りこぼしと区別できません。",
            "センサーの取りこぼし (上) を見るか、キャプチャーで確認してください。",
        ),
        "loss.unknown": ("この通信からは取りこぼしを判断できません。", "本機での取りこぼしを確認してください (稼働中)。"),
        "cut.some": (
            "切られた部分は学習も判断もできません。",
            "フレーム全体を取得してください (tcpdump -s 0、スイッチでは切り詰めなし)。",
        ),
        "size.some": (
            "ドライバーがフレームを結合した (GRO、LRO、TSO) か、ジャンボフレームです。長さと時刻は回線上と違います。",
            "取得するポートでオフロードを切ってください (ethtool -K ポート gro off lro off tso off)。",
        ),
        "damage.some": (
            "ヘッダーがフレームと矛盾しています。ケーブルか機器の故障、または検知を逃れる試みです。",
            "どの機器からかを確認し、全機器からならケーブルを交換してください。",
        ),
        "damage.unknown": ("これらのフレームは監視されません。", "Ethernetのポートで取得してください。"),
        "clock.none": ("時刻がなければ周期を学習できません。", "時刻を記録するツールで取り直してください。"),
        "clock.back": (
            "取得中に時計が変更されたか、順序の違うキャプチャーが結合されています。無通信や周期の判断は信頼できません。",
            "取得する機械で時刻同期 (chrony、systemd-timesyncd) を動かし、結合には mergecap を使ってください。",
        ),
        "clock.wrong": ("ありえない時刻です。時計が設定されていません。", "時計を合わせ、時刻同期を動かしてください。"),
        "own.some": (
            "本機自身の通信がミラーされ、設備の通信として学習されてしまいます。",
            "管理用に別のポートを使うか、除外してください: [capture] ignore = [\"not host アドレス\"]",
        ),
    },
}  # fmt: skip

WORDS: Final = {
    "en": {
        "ok": "ok", "note": "note", "problem": "PROBLEM", "same": "as they enter and leave", "tagged": "tagged and untagged",
        "routed": "before and behind a router", "other": "with other hardware addresses", "untagged": "no tags",
        "vlans": "VLAN {which}", "more": "{count} more", "means": "means", "do": "do",
        "closing.ok": "All fine", "closing.note": "No problem, 1 note", "closing.notes": "No problem, {count} notes",
        "closing.one": "1 problem", "closing.many": "{count} problems", "yes": "yes", "no": "no",
    },
    "ja": {
        "ok": "正常", "note": "注意", "problem": "問題", "same": "入る時と出る時", "tagged": "タグありとタグなし",
        "routed": "ルーターの前後", "other": "ハードウェアアドレスが違う", "untagged": "タグなし",
        "vlans": "VLAN {which}", "more": "ほか {count}", "means": "意味", "do": "対処",
        "closing.ok": "すべて正常", "closing.note": "問題なし、注意 1 件", "closing.notes": "問題なし、注意 {count} 件",
        "closing.one": "問題 1 件", "closing.many": "問題 {count} 件", "yes": "可", "no": "不可",
    },
}  # fmt: skip
