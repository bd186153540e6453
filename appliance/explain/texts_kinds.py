"""Titles and meanings of the kinds of findings, names of causes, and the reasons for a cause. (English, Japanese)."""

from __future__ import annotations

from typing import Final

# Places: client, server (who asks, who is asked), src, dst (as the frame goes), service, what, count.
TITLES: Final[dict[str, tuple[str, str]]] = {
    "new-asset": ("Not known on this network: {src}", "ネットワーク上に未登録の機器: {src}"),
    "new-conversation": (
        "{client} began to talk to {server} over {service}, which never happened before",
        "{client} が {server} とこれまでにない通信を開始 ({service})",
    ),
    "scan": (
        "{client} searched the network: {count:address or port/addresses or ports} tried",
        "{client} がネットワークを探索 (試行 {count} 件)",
    ),
    "similar-asset": (
        "New device like others here: {client} and {server} talk over {service} as their kind does",
        "既存機器と同種の新しい機器: {client} と {server} が通常どおりの内容で通信 ({service})",
    ),
    "role-change": (
        "{src} so far only answered, and began to ask {dst} ({service})",
        "これまで応答のみだった {src} が {dst} へ要求を開始 ({service})",
    ),
    "role-change.answer": (
        "{src} so far only asked, and began to serve {dst} ({service})",
        "これまで要求のみだった {src} が {dst} へサービス提供を開始 ({service})",
    ),
    "dark-address": (
        "{client} asked for an address that nobody has ever used: {dst}",
        "{client} が、これまで誰も使っていないアドレス {dst} へ問い合わせ",
    ),
    "duplicate-address": (
        "Two devices use the address {src} at the same time",
        "アドレス {src} を 2 台の機器が同時に使用",
    ),
    "identity-change": ("{src} calls itself something else than before: {what}", "{src} の自己申告情報が変化: {what}"),
    "readdressed": ("Known hardware took a new address: {src}", "既知の機器のアドレスが変化: {src}"),
    "new-service": (
        "{client} began to use a service to all that was never in use here: {service} to {dst}",
        "{client} が、これまでなかった一斉送信サービスを開始: {service} ({dst} 宛て)",
    ),
    "address-change": ("Address {src} moved to other hardware", "アドレス {src} が別のハードウェアに移動"),
    "unknown-command": (
        "{src} sent {dst} a command never seen before: {what}",
        "{src} から {dst} へ、これまでにないコマンド: {what}",
    ),
    "unknown-command.answer": (
        "{src} answered {dst} in a way never seen before: {what}",
        "{src} から {dst} へ、これまでにない応答: {what}",
    ),
    "unknown-value": ("{src} sent {dst} a value never seen before: {what}", "{src} から {dst} へ、これまでにない値: {what}"),
    "unknown-combination": (
        "{src} sent {dst} a combination never seen before: {what}",
        "{src} から {dst} へ、これまでにない値の組み合わせ: {what}",
    ),
    "wrong-length": (
        "{src} sent {dst} a message of unusual length: {what}",
        "{src} から {dst} へ、長さが通常と異なるメッセージ: {what}",
    ),
    "broken-framing": (
        "Messages from {src} to {dst} no longer follow their length field ({service})",
        "{src} から {dst} へのメッセージで長さフィールドが不整合 ({service})",
    ),
    "wrong-identity": (
        "An identifier changed inside a connection from {src} to {dst}: {what}",
        "{src} から {dst} への接続の途中で識別子が変化: {what}",
    ),
    "wrong-echo": (
        "The answer of {src} to {dst} does not match its request: {what}",
        "{src} から {dst} への応答が要求と不一致: {what}",
    ),
    "unasked-answer": (
        "{src} sent {dst} an answer that nobody asked for: {what}",
        "{src} から {dst} へ、要求していない応答: {what}",
    ),
    "missing-answer": (
        "{server} did not answer {client} ({count:request/requests})",
        "{server} が {client} に無応答 (要求 {count} 件)",
    ),
    "silence": ("{client} and {server} stopped talking ({service})", "{client} と {server} の定期通信が途絶 ({service})"),
    "period-change": (
        "Messages from {src} to {dst} come at another pace ({service})",
        "{src} から {dst} への通信周期が変化 ({service})",
    ),
    "wrong-order": (
        "{src} sent {dst} a known message at the wrong moment ({service})",
        "{src} から {dst} へ、既知のメッセージが通常と異なる順序または時機に届いた ({service})",
    ),
    "replay": (
        "{src} sent {dst} messages again that had been sent before ({service})",
        "{src} から {dst} へ、以前のメッセージがそのまま再び送られた ({service})",
    ),
    "flood": (
        "{src} flooded {dst} with {count:message/messages} ({service})",
        "{src} から {dst} へ大量の通信 ({count} 件、{service})",
    ),
    "connection-failure": (
        "Connections from {client} to {server} failed ({service}, {count:time/times})",
        "{client} から {server} への接続に失敗 ({service}、{count} 回)",
    ),
    "process-contradiction": (
        "A value from {src} contradicts the process: {what}",
        "{src} の値がプロセスの動きと矛盾: {what}",
    ),
    "overlap": (
        "Overlapping TCP data from {src} to {dst} contradicts itself ({service})",
        "{src} から {dst} への TCP データに内容の異なる重複 ({service})",
    ),
    "damage": ("Damaged frames from {src} to {dst} ({count})", "{src} から {dst} へ破損フレーム ({count} 件)"),
}

MEANINGS: Final[dict[str, tuple[str, str]]] = {
    "new-asset": ("The address was not there while learning.", "学習期間中には存在しなかったアドレスです。"),
    "new-conversation": (
        "These two never talked over this service while learning.",
        "学習期間中、この 2 台の間にこのサービスの通信はありませんでした。",
    ),
    "scan": (
        "One device tries many addresses or ports, most of which do not answer.",
        "1 台の機器が多数のアドレスやポートを試しており、その大半は応答していません。",
    ),
    "similar-asset": (
        "It was not there while learning, and so far says only what devices of its kind say here.",
        "学習期間中には存在しませんでしたが、同種の機器と同じ内容の通信だけを行っています。",
    ),
    "role-change": (
        "While learning this device had only the other role.",
        "学習期間中、この機器は反対の役割だけを担っていました。",
    ),
    "dark-address": (
        "No device had this address and nobody asked for it while learning: a search begins so, or a wrong setting.",
        "学習期間中、このアドレスの機器も問い合わせもありませんでした。探索の始まり、または設定の誤りが考えられます。",
    ),
    "duplicate-address": (
        "Frames of one address come from two network cards in turn: a doubled address, or somebody in between.",
        "1 つのアドレスのフレームが 2 つの MAC アドレスから交互に届いています。アドレスの重複、または中継が考えられます。",
    ),
    "identity-change": (
        "Vendor, model, firmware or name, as the device itself tells them, are not those of the learning time.",
        "機器自身が示すメーカー、型式、ファームウェア、または名称が学習時と異なります。",
    ),
    "readdressed": (
        "The network card is known from learning, under another address.",
        "この MAC アドレスは、学習期間中は別のアドレスで使われていました。",
    ),
    "new-service": (
        "No device used this group, port or protocol while learning.",
        "学習期間中、このグループ、ポート、またはプロトコルは使われていませんでした。",
    ),
    "address-change": (
        "Another network card now answers for the address: a device was exchanged, or somebody takes its place.",
        "このアドレスに別の MAC アドレスが応答しています。機器の交換、またはなりすましが考えられます。",
    ),
    "unknown-command": (
        "The bytes that say what the message does have values that this conversation never carried.",
        "メッセージの動作を決めるバイトが、この通信では一度も使われたことのない値です。",
    ),
    "unknown-value": (
        "A data field left the values it was learned with.",
        "データフィールドの値が、学習した範囲から外れています。",
    ),
    "unknown-combination": (
        "Each value is known here, but never together.",
        "個々の値は既知ですが、この組み合わせは初めてです。",
    ),
    "wrong-length": (
        "The message is longer or shorter than any of its kind.",
        "同じ種類のメッセージと比べて、長さが異なります。",
    ),
    "broken-framing": (
        "The length field learned for this service does not fit the data any more.",
        "このサービスで学習した長さフィールドが、実際のデータと合いません。",
    ),
    "wrong-identity": (
        "A value that stays the same within a connection changed in the middle of it.",
        "接続中は変わらないはずの値が、途中で変わりました。",
    ),
    "wrong-echo": (
        "The answer should repeat bytes of its request and does not.",
        "応答は要求の一部をそのまま返すはずですが、内容が異なります。",
    ),
    "unasked-answer": (
        "An answer of this kind belongs to no request of the conversation.",
        "この応答に対応する要求が、通信の中に見当たりません。",
    ),
    "missing-answer": (
        "Requests that were always answered stay without an answer.",
        "これまで必ず応答のあった要求に、応答がありません。",
    ),
    "silence": ("A regular conversation has stopped.", "定期的に行われていた通信が止まりました。"),
    "period-change": (
        "A regular message comes clearly faster or slower than learned.",
        "定期的なメッセージの間隔が、学習時より明らかに短いか長くなっています。",
    ),
    "wrong-order": (
        "The message is known, but it never came so soon or after the one before it.",
        "メッセージ自体は既知ですが、この順序またはこの間隔で届いたことは一度もありません。",
    ),
    "replay": (
        "Messages came again byte for byte, with running numbers that were used already.",
        "使用済みの通し番号も含めて、以前と全く同じメッセージが再び届きました。",
    ),
    "flood": ("Far more messages than ever while learning.", "学習期間中のどの時点よりもはるかに多い通信量です。"),
    "connection-failure": (
        "Connections are refused, reset or not accepted.",
        "接続が拒否、リセット、または受け付けられていません。",
    ),
    "process-contradiction": (
        "The value is in its range, but other values place the process elsewhere, or it stands still though it never did.",
        "値は通常の範囲内ですが、他の値から推定されるプロセスの状態と一致しないか、常に変動するはずの値が止まっています。",
    ),
    "overlap": (
        "The same place of a stream was sent twice with different bytes, so two receivers may read two things.",
        "同じ位置のデータが異なる内容で 2 回送られ、受信側によって解釈が変わるおそれがあります。",
    ),
    "damage": ("Frames are damaged in a way this site never showed.", "この現場では見られなかった形でフレームが破損しています。"),
}

CAUSES: Final[dict[str, tuple[str, str]]] = {
    "security": ("Looks like an attack or misuse.", "攻撃または不正操作の可能性があります。"),
    "fault": ("Looks like a fault of a device or the network.", "機器またはネットワークの故障と考えられます。"),
    "maintenance": ("Looks like maintenance work.", "保守作業によるものと考えられます。"),
    "unknown": ("The cause is not clear yet.", "原因はまだ特定できていません。"),
}

# Why the rules of `cause` decided as they did.
BECAUSE: Final[dict[str, tuple[str, str]]] = {
    "open": (
        "the wire does not tell: {security} % security, {fault} % fault, {maintenance} % maintenance",
        "通信だけでは判断できないため（セキュリティ {security} %、故障 {fault} %、保守作業 {maintenance} %）",
    ),
    "scan": ("the network is being searched", "ネットワークが探索されているため"),
    "intercept": ("an address keeps changing its hardware", "アドレスの MAC アドレスが繰り返し変わっているため"),
    "between": (
        "one piece of hardware takes the addresses of several devices that are still there",
        "1 台の機器が、稼働中の複数の機器のアドレスを名乗っているため",
    ),
    "duplicate": (
        "one address has two owners, by mistake or on purpose",
        "1 つのアドレスが 2 台で使われているため（誤設定または意図的）",
    ),
    "dark-newcomer": ("a new device asks for addresses that nobody uses", "新しい機器が、使われていないアドレスを調べているため"),
    "dark-many": ("several addresses that nobody uses are asked for", "使われていない複数のアドレスが調べられているため"),
    "dark": (
        "one address that nobody uses was asked for, which a wrong setting does too",
        "使われていないアドレスへの問い合わせで、設定の誤りとも考えられるため",
    ),
    "readdressed": ("the hardware is known and gave no command", "既知の機器であり、操作コマンドを伴わないため"),
    "identity": (
        "the device tells another identity, which an update does as well as an exchange",
        "機器の識別情報の変化は、更新や交換でも起こるため",
    ),
    "alike": ("it is new, and does only what others of its kind do", "新しいものの、同種の機器と同じ動作だけのため"),
    "evasion": (
        "the data contradicts itself, as tools do that hide from inspection",
        "検査を逃れる手口に見られるデータの食い違いがあるため",
    ),
    "newcomer-acts": ("a partner never seen before gives commands", "これまで通信のなかった相手がコマンドを送っているため"),
    "spread": ("the same acts reach several devices", "同じ操作が複数の機器に及んでいるため"),
    "sweep": ("many different commands were tried one after another", "多数の異なるコマンドが次々に試されているため"),
    "exchanged": ("an address moved once and no command came with it", "アドレスの移動は一度だけで、コマンドを伴わないため"),
    "outage": ("only failures were seen and nothing new was asked", "失敗のみが見られ、新しい要求がないため"),
    "recovery": (
        "partners find together again after a failure, and nobody gave a command",
        "障害後の再接続であり、操作コマンドはないため",
    ),
    "outage-mixed": ("answers fail and no new partner gave commands", "応答の失敗があり、新しい相手からのコマンドがないため"),
    "newcomer-floods": ("a partner never seen before sends far too much", "これまで通信のなかった相手が大量に送信しているため"),
    "replayed": ("messages came again with numbers that were used already", "使用済みの番号を持つメッセージが再び届いたため"),
    "pace": ("only the pace of known messages changed", "既知のメッセージの間隔だけが変わったため"),
    "moment": (
        "all messages are known, only their order or moment is new",
        "メッセージはすべて既知で、順序または時機だけが新しいため",
    ),
    "overload": ("known partners send far more than usual", "既知の機器の通信量が通常より大幅に多いため"),
    "device-act": (
        "a known partner gave a command to the device itself or its program",
        "既知の機器が、装置本体またはプログラムへの操作を行ったため",
    ),
    "new-write": ("a known partner wrote in a way it never did", "既知の機器が、これまでにない書き込みを行ったため"),
    "setpoint": (
        "only the written value is new: it may be an operator's",
        "書き込まれた値のみが新しく、運転員の操作の可能性があるため",
    ),
    "newcomer": ("a partner never seen before is on the network", "これまで通信のなかった相手がネットワークにいるため"),
    "new-request": ("a known partner asks for something new", "既知の機器が新しい要求を行ったため"),
    "contradiction": (
        "a value does not fit the others: it is forged or its sensor is broken",
        "他の値と整合しない値があり、偽装またはセンサーの故障が考えられるため",
    ),
    "strange-answers": ("only the answers of one device changed", "1 台の機器の応答だけが変化したため"),
    "undecided": ("nothing seen so far decides it", "これまでの情報では判断できないため"),
}
