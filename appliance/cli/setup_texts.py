"""What `sekisho setup` asks and says, in English and Japanese."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "ports": "Ports of this box:",
        "up": "link",
        "down": "no link",
        "own": "the box's own address {addresses}",
        "mode": "How does the box stand in the network?\n"
        "  mirror  beside it: a switch copies the traffic to one port; nothing can be disturbed\n"
        "  bridge  in line between two ports, unseen by the devices\n"
        "  router  in line, as the way between two networks",
        "interface": "Which port is watched? (several: separated by spaces)",
        "absent": "{name}: not there now; it is watched as soon as it comes",
        "address": "{name}: carries this box's own address; a port for watching usually has none: is it the right one?",
        "power": "In line as a bridge: WITHOUT POWER NOTHING PASSES. When the box is off, starts, or fails, the devices on its "
        "two sides lose each other. Use a network card with bypass relays, or be sure that the plant can stand it. While it "
        "runs, the death of any process of Sekisho changes nothing: the kernel goes on forwarding.",
        "router": "In line as a router: without power nothing passes between the two networks. While it runs, the death of any "
        "process of Sekisho changes nothing: the kernel goes on forwarding.",
        "network": "Sekisho changes nothing in the network settings of the box; docs/install.md says how to make the {mode}.",
        "written": "{path}: written",
        "start": "next step: systemctl enable --now sekisho.target",
        "started": "it runs; it learns by itself and blocks nothing. What it says: journalctl -u 'sekisho*'",
        "invalid": "{answer!r} is none of {choices}",
    },
    "ja": {
        "ports": "この装置のポート:",
        "up": "リンクあり",
        "down": "リンクなし",
        "own": "装置自身のアドレス {addresses}",
        "mode": "装置をネットワークにどう置きますか。\n"
        "  mirror  脇に置く: スイッチが通信を一つのポートに写す。通信を妨げることはない\n"
        "  bridge  二つのポートの間に挟む。機器からは見えない\n"
        "  router  二つのネットワークの間の通り道として挟む",
        "interface": "どのポートを見張りますか。(複数なら空白で区切る)",
        "absent": "{name}: 今はありません。現れたら見張りを始めます",
        "address": "{name}: 装置自身のアドレスを持っています。見張るポートは普通アドレスを持ちません。これで正しいですか",
        "power": "ブリッジとして挟む場合: 電源が落ちると何も通りません。 停止中、起動中、故障中は、"
        "両側の機器が互いに通信できなくなります。"
        "バイパスリレー付きのネットワークカードを使うか、設備がそれに耐えられることを確かめてください。動作中は、"
        "Sekisho のどのプロセスが落ちても転送はカーネルが続けます。",
        "router": "ルーターとして挟む場合: 電源が落ちると二つのネットワークの間は通りません。動作中は、"
        "Sekisho のどのプロセスが落ちても転送はカーネルが続けます。",
        "network": "Sekisho は装置のネットワーク設定を変えません。{mode} の作り方は docs/install.md にあります。",
        "written": "{path}: 書き込みました",
        "start": "次の手順: systemctl enable --now sekisho.target",
        "started": "動いています。自分で学習し、何も遮断しません。言うことは journalctl -u 'sekisho*' で見られます",
        "invalid": "{answer!r} は {choices} のどれでもありません",
    },
}
