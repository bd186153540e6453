"""Steps of advice and sentences on the impact. (English, Japanese).

Every step can be done by a plant engineer on site. Nothing here stops a running process without looking at it first.
"""

from __future__ import annotations

from typing import Final

# Places: client, server.
ADVICE: Final[dict[str, tuple[str, str]]] = {
    "ask-owner": (
        "Ask whoever is responsible for {client} whether this was intended.",
        "{client} の担当者に、意図した操作かどうかを確認してください。",
    ),
    "check-plan": (
        "Check whether planned work at {server} explains it; if so, accept the change, and it will not be reported again.",
        "{server} で計画作業がなかったか確認してください。作業によるものであれば、変更を承認すると以後は通知されません。",
    ),
    "find-device": (
        "Find the device {client}: the switch's address table names its port. Unplug it if nobody knows it.",
        "スイッチの MAC アドレステーブルで接続ポートを調べ、{client} の実機を特定してください。"
        "心当たりのない機器であれば、LAN ケーブルを抜いてください。",
    ),
    "check-output": (
        "Compare the real state at {server} (outputs, set values) with what the operator screen shows.",
        "{server} の実際の状態 (出力、設定値) を現場で確認し、監視画面の表示と照合してください。",
    ),
    "restore-value": (
        "Set values back only after the process has been checked on site.",
        "値を元に戻す場合は、現場の安全を確認してから行ってください。",
    ),
    "check-mode": (
        "Check at {server} that it runs as usual: run lamp, key switch, clock, communication.",
        "{server} が通常どおり動作しているか (RUN ランプ、キースイッチ、時刻、通信状態) を確認してください。",
    ),
    "compare-program": (
        "Compare the program in {server} with the last released version before trusting it again.",
        "{server} のプログラムを最新の正式版と照合してください。一致を確認するまでは信頼しないでください。",
    ),
    "key-switch": (
        "If {server} has a key switch, turn it to RUN so that the program cannot be changed.",
        "{server} にキースイッチがある場合は RUN 側に切り替え、プログラムの変更を禁止してください。",
    ),
    "cut-client": (
        "If nobody can explain it, disconnect {client}; first make sure that no control depends on it.",
        "説明がつかない場合は、制御に影響しないことを確かめたうえで {client} をネットワークから切り離してください。",
    ),
    "scan-malware": (
        "Check {client} for malware and unknown remote access, and keep its logs.",
        "{client} のマルウェア感染や不審なリモートアクセスの有無を調べ、ログを保存してください。",
    ),
    "inform-security": (
        "Tell the security contact and pass on the packets of this incident.",
        "セキュリティ担当者に連絡し、このインシデントのパケットを渡してください。",
    ),
    "check-power": (
        "Check power, network cable and link lamp of {server}.",
        "{server} の電源、LAN ケーブル、リンクランプを確認してください。",
    ),
    "check-switch": (
        "Check the switch ports between {client} and {server}: error counters, speed and duplex, loops.",
        "{client} と {server} の間のスイッチポートについて、エラーカウンター、速度・全二重設定、ループの有無を確認してください。",
    ),
    "check-load": (
        "Check whether {server} is overloaded or shows an error; restart it only in a safe state of the plant.",
        "{server} の過負荷やエラー表示の有無を確認してください。再起動は、設備を安全な状態にしてから行ってください。",
    ),
    "check-changed": (
        "Check whether {client} or {server} was exchanged, updated or configured lately.",
        "{client} または {server} で最近、交換・更新・設定変更がなかったか確認してください。",
    ),
    "check-duplicate": (
        "Check whether two devices use the address {client}.",
        "アドレス {client} が 2 台の機器で重複していないか確認してください。",
    ),
    "find-hardware": (
        "If no hardware was exchanged, somebody may stand in between: find the new hardware address at the switch.",
        "機器を交換していない場合は、通信を中継・改ざんされているおそれがあります。"
        "新しい MAC アドレスの接続ポートをスイッチで特定してください。",
    ),
    "check-sensor": (
        "Check the values of {server} on site: sensor, wiring, scaling.",
        "{server} の値を現場で確認してください (センサー、配線、スケーリング)。",
    ),
    "watch": (
        "Watch whether it comes again; accept it if it is normal for this plant.",
        "再発するか様子を見て、この設備で正常な動作であれば承認してください。",
    ),
    "accept": (
        "If the work was planned, accept the change; otherwise ask who did it.",
        "計画した作業であれば変更を承認し、そうでなければ作業者を確認してください。",
    ),
}

# Places: client, server.
IMPACTS: Final[dict[str, tuple[str, str]]] = {
    "write": (
        "Values or outputs of {server} may have been changed; the process may differ from what the screen shows.",
        "{server} の値や出力が変更された可能性があり、実際の動作と監視画面の表示が食い違うおそれがあります。",
    ),
    "control": (
        "{server} may have stopped, restarted, or changed its mode or clock; control by it may be interrupted.",
        "{server} が停止、再起動したか、動作モードや時刻が変わった可能性があり、制御が中断するおそれがあります。",
    ),
    "program": (
        "Program, firmware or files of {server} may have been read, changed or locked.",
        "{server} のプログラム、ファームウェア、ファイルが読み出し、変更、またはロックされた可能性があります。",
    ),
    "read": (
        "Information was asked for; the process itself was not changed by it.",
        "情報が読み出されましたが、これにより制御の内容が変わることはありません。",
    ),
    "scan": (
        "The layout of the network becomes known to {client}; sensitive devices may fail under the search itself.",
        "ネットワーク構成が {client} に知られます。また、探索の負荷だけで停止する機器もあります。",
    ),
    "outage": (
        "{client} gets no fresh data from {server}; screens and control that depend on it work with old values.",
        "{client} は {server} の最新データを受け取れません。関連する監視画面や制御は古い値のまま動作します。",
    ),
    "flood": (
        "{server} and the network may become slow or stop answering.",
        "{server} やネットワークの応答が遅くなるか、応答しなくなるおそれがあります。",
    ),
    "intercept": (
        "Traffic of {client} may pass through another device, which can read and change it.",
        "{client} の通信が別の機器を経由し、盗み見や改ざんをされるおそれがあります。",
    ),
    "answer": (
        "{client} may show or use wrong values of {server}.",
        "{client} が {server} の誤った値を表示または使用するおそれがあります。",
    ),
    "newcomer": (
        "A device outside the learned plant has access to the network.",
        "学習した設備に含まれない機器が、ネットワークに接続されています。",
    ),
    "unclear": (
        "No effect on the process is known so far.",
        "現時点では、制御への影響は確認されていません。",
    ),
}
