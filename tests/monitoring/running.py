"""A keeper as its own process, fed with what `sekisho detect` finds in a capture of the lab; a Prometheus that scrapes it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from appliance.host.control import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "packaging" / "monitoring"
CASE = ROOT / "pcaps" / "modbus-attack"
Json = dict[str, Any]
_FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"  # inside a namespace


def free_port() -> int:
    """A port that is free now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sekisho(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, as a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    line = [sys.executable, "-m", "appliance", *map(str, words)]
    return subprocess.run(
        line, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120, cwd=ROOT, env=environment
    )


def detected(folder: Path) -> list[Json]:
    """Findings and incidents of a capture with an attack, as the feed wants them."""
    assert sekisho("learn", CASE / "train.pcap", "--baseline", folder / "b").returncode == 0
    done = sekisho("detect", CASE / "test.pcap", "--baseline", folder / "b", "--format", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted((r for r in records if r["type"] in ("incident", "finding")), key=lambda r: r["type"] != "incident")


class Appliance:
    """`sekisho keeper` and nothing else; ended when left."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "sekisho.toml"
        self.socket = folder / "run" / "keeper.sock"
        self.fed = 0
        self.config.write_text(
            f'[capture]\ninterfaces = ["eth1"]\n[state]\ndirectory = "{folder}/state"\nruntime = "{folder}/run"\n'
            f'[metrics]\nlisten = "127.0.0.1:{self.port}"\n{more}',
            encoding="utf-8",
        )

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """One process of it."""
        with (self.folder / "notes").open("a") as notes:
            line = [sys.executable, "-m", "appliance", name, "--config", str(self.config)]
            return subprocess.Popen(line, stderr=notes, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def __enter__(self) -> Appliance:
        self.process = self.start("keeper")
        wait_for(self.socket.exists, 20)
        wait_for(lambda: fetch(f"http://127.0.0.1:{self.port}/metrics"), 20)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def feed(self, *records: Json) -> None:
        """As the sensor does."""
        receipt = ask(self.socket, {"verb": "feed", "run": 1, "first": self.fed + 1, "records": list(records)})
        self.fed += len(records)
        assert receipt == {"receipt": self.fed}

    def status(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`sekisho status`."""
        return sekisho("status", "--config", self.config, *words)


def fetch(url: str) -> str:
    """What is there now. Raises OSError."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # loopback only
        return str(answer.read().decode())


def wait_for(true: Any, seconds: float) -> Any:
    """What it gives, once it gives something."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if found := true():
                return found
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.1)


class Prometheus:
    """Debian's Prometheus on loopback with our rules; scrapes one gateway each second."""

    def __init__(self, folder: Path, target: int, inside: tuple[str, ...] = ()) -> None:
        if shutil.which("prometheus") is None:
            pytest.skip("prometheus is not installed; next step: .ci/debian prometheus")
        self.port, self.folder, self.inside = free_port(), folder / "prometheus", inside
        self.folder.mkdir()
        rules = yaml.safe_load((MONITORING / "prometheus" / "sekisho.rules.yml").read_text(encoding="utf-8"))
        for group in rules["groups"]:
            group["interval"] = "1s"
        (self.folder / "sekisho.rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        config = yaml.safe_load((MONITORING / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def __enter__(self) -> Prometheus:
        line = [
            *self.inside, "prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ]  # fmt: skip
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def query(self, expression: str) -> list[Json]:
        """An instant query; the vector. Raises AssertionError with what Prometheus says where it refuses."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        line = [*self.inside, sys.executable, "-c", _FETCH, url]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            raise OSError(done.stderr)
        answer = json.loads(done.stdout)
        assert answer["status"] == "success", answer
        result: list[Json] = answer["data"]["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The one number, None where there is none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None


def asked() -> list[tuple[str, str]]:
    """Title and query of every panel, the dashboard's choices being "all"."""
    board = json.loads((MONITORING / "grafana" / "dashboards" / "sekisho-site.json").read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    return [(title, re.sub(r"\$(site|instance)", ".*", e).replace("$__rate_interval", "4s")) for title, e in found]


def recorded() -> list[str]:
    """Names of the recording rules."""
    rules = yaml.safe_load((MONITORING / "prometheus" / "sekisho.rules.yml").read_text(encoding="utf-8"))
    return [rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule]


def running(folder: Path) -> Iterator[tuple[Appliance, list[Json]]]:
    """For a fixture."""
    records = detected(folder)
    with Appliance(folder) as box:
        yield box, records
