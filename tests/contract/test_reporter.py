"""The reporter beside a real keeper and real receivers: whatever dies, everything arrives, in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from appliance.errors import LiveError
from appliance.host.control import ask
from tests.contract.cli import COMMAND, environment, refused, sekisho
from tests.unit.certificates import Authority
from tests.unit.receivers import RSYSLOGD, Rsyslogd, free_port, https, smtp, wait_for
from tests.unit.test_report_out import FINDING, RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Site:
    """Keeper and reporter as processes, with a configuration of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config, self.fed = folder, folder / "sekisho.toml", 0
        self.children: dict[str, subprocess.Popen[str]] = {}

    def configure(self, report: str) -> None:
        text = f'[capture]\ninterfaces = ["none0"]\n[state]\ndirectory = "{self.folder}"\n[report]\ngateway = "gw-7"\n{report}'
        self.config.write_text(text, encoding="utf-8")

    def start(self, *names: str) -> None:
        for name in names:
            with (self.folder / f"{name}.log").open("a", encoding="utf-8") as log:
                command = [*COMMAND, name, "--config", str(self.config)]
                self.children[name] = subprocess.Popen(command, stderr=log, env=environment(), text=True)
            if name == "keeper":
                wait_for(self.answers)

    def answers(self) -> bool:
        try:
            ask(self.folder / "keeper.sock", {"verb": "snapshot"})
        except LiveError:
            return False
        return True

    def kill(self, name: str) -> None:
        child = self.children.pop(name)
        child.kill()
        child.wait()

    def end(self, name: str) -> int:
        child = self.children.pop(name)
        child.terminate()
        return child.wait(timeout=20)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def feed(self, count: int, **changed: Any) -> None:
        """So many new incidents, each with a finding."""
        for n in range(self.fed // 2 + 1, self.fed // 2 + count + 1):
            record = RECORD | {"id": f"i-1-{n}", "revision": 1, "findings": 1} | changed
            finding = FINDING | {"type": "finding", "incident": f"i-1-{n}", "file": None, "match": ""}
            wanted = {"verb": "feed", "run": 1, "first": self.fed + 1, "records": [record, finding]}
            self.fed = ask(self.folder / "keeper.sock", wanted)["receipt"]

    def snapshot(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads((self.folder / "reporter.json").read_text(encoding="ascii"))
        except FileNotFoundError:
            return {"destinations": [], "problems": []}
        return told

    def destination(self, name: str) -> dict[str, Any]:
        return next((one for one in self.snapshot()["destinations"] if one["name"] == name), {"sent": 0, "last_error": ""})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for name in list(site.children):
        site.kill(name)


def uids(lines: list[dict[str, Any]]) -> list[str]:
    """In the order of their first coming: at least once means that some may come again."""
    return list(dict.fromkeys(line["metadata"]["uid"] for line in lines))


def in_file(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="ascii") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]  # what is being written has no end yet


def wanted(count: int) -> list[str]:
    return [f"gw-7:i-1-{n}:1" for n in range(1, count + 1)]


@pytest.mark.skipif(not RSYSLOGD, reason="rsyslogd is not installed: .ci/debian rsyslog rsyslog-openssl")
def test_nothing_is_lost_or_out_of_order_whatever_dies(site: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("localhost")
    (tmp_path / "siem").mkdir()
    siem = Rsyslogd(tmp_path / "siem", pair, authority.path)
    siem.start()
    with https(pair) as hooks:
        site.configure(f"""
[report.to.siem]
kind = "syslog"
host = "127.0.0.1"
port = {siem.port}
ca = "{authority.path}"
[report.to.hook]
kind = "webhook"
url = "https://127.0.0.1:{hooks.port}/in"
ca = "{authority.path}"
batch = 3
[report.to.disk]
kind = "file"
path = "{tmp_path}/out.jsonl"
""")
        try:
            site.start("keeper", "reporter")
            site.feed(20)
            wait_for(lambda: len(siem.messages()) >= 20)
            siem.kill()
            site.feed(20)
            wait_for(lambda: site.destination("siem")["last_error"] != "")
            site.kill("reporter")  # -9, with reports waiting
            site.feed(10)
            site.kill("keeper")
            site.start("keeper", "reporter")
            site.feed(10)
            siem.start()
            wait_for(lambda: len(uids(siem.bodies())) == 60 and site.destination("siem")["sent"] >= 60, 40)
            wait_for(lambda: len(uids(in_file(tmp_path / "out.jsonl"))) == 60)
            wait_for(lambda: len(uids([e for _, body in hooks.posted for e in json.loads(body)["data"]])) == 60)
        finally:
            siem.kill()
    assert uids(siem.bodies()) == uids(in_file(tmp_path / "out.jsonl")) == wanted(60)
    assert uids([e for _, body in hooks.posted for e in json.loads(body)["data"]]) == wanted(60)
    assert [line["metadata"]["sequence"] for line in siem.bodies()][-1] == 60
    told = site.snapshot()
    assert (told["dropped"], told["problems"]) == (0, [])
    assert site.end("reporter") == 0
    assert all(line["evidences"][0]["dst_endpoint"]["port"] == 502 for line in in_file(tmp_path / "out.jsonl"))


def test_a_broken_outbox_is_set_aside_and_reports_go_on(site: Site, tmp_path: Path) -> None:
    site.configure(f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/out.jsonl"\n')
    site.start("keeper", "reporter")
    site.feed(5)
    wait_for(lambda: site.destination("disk")["sent"] == 5)
    mark = tmp_path / "reporter.mark"
    wait_for(lambda: mark.exists() and mark.read_text(encoding="ascii") == str(site.snapshot()["pulled"]))
    site.kill("reporter")
    site.feed(5)
    for end in ("-wal", "-shm"):
        (tmp_path / f"reporter.sqlite{end}").unlink(missing_ok=True)
    (tmp_path / "reporter.sqlite").write_bytes(b"no database at all" * 1000)
    site.start("reporter")
    wait_for(lambda: len(uids(in_file(tmp_path / "out.jsonl"))) == 10)
    assert uids(in_file(tmp_path / "out.jsonl")) == wanted(10)
    assert len(in_file(tmp_path / "out.jsonl")) == 10, "what had arrived is not sent again"
    wait_for(lambda: site.snapshot()["problems"] != [])
    assert "set aside as reporter.sqlite.damaged-" in site.snapshot()["problems"][0]["what"]
    assert "put aside" in site.log("reporter")


def test_a_keeper_that_is_away_is_told_and_taken_up_again(site: Site, tmp_path: Path) -> None:
    site.configure(f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/out.jsonl"\n')
    site.start("reporter")
    wait_for(lambda: any("keeper" in problem["what"] for problem in site.snapshot()["problems"]))
    site.start("keeper")
    site.feed(1)
    wait_for(lambda: site.destination("disk")["sent"] == 1 and site.snapshot()["problems"] == [])


def test_what_may_not_leave_does_not_leave_and_causes_are_heeded(site: Site, tmp_path: Path) -> None:
    site.configure(f"""redact = ["addresses", "values"]
[report.to.disk]
kind = "file"
path = "{tmp_path}/out.jsonl"
[report.to.faults]
kind = "file"
path = "{tmp_path}/faults.jsonl"
causes = ["fault"]
redact = []
""")
    site.start("keeper", "reporter")
    site.feed(3)
    site.feed(1, cause="fault", technique="")
    wait_for(lambda: len(in_file(tmp_path / "out.jsonl")) == 4 and len(in_file(tmp_path / "faults.jsonl")) == 1)
    said = (tmp_path / "out.jsonl").read_text(encoding="ascii")
    assert "10.0.0." not in said
    assert "asset-" in said
    assert "01 02 03 04" not in said
    assert in_file(tmp_path / "faults.jsonl")[0]["evidences"][0]["src_endpoint"]["ip"] == "10.0.0.9"
    assert (tmp_path / "reporter.key").stat().st_mode & 0o777 == 0o600
    wait_for(lambda: site.destination("faults").get("waiting") == 0)


def test_a_configuration_is_taken_over_on_sighup_and_a_bad_one_is_not(site: Site, tmp_path: Path) -> None:
    site.configure(f'[report.to.one]\nkind = "file"\npath = "{tmp_path}/one.jsonl"\n')
    site.start("keeper", "reporter")
    site.feed(1)
    wait_for(lambda: len(in_file(tmp_path / "one.jsonl")) == 1)
    site.configure('[report.to.one]\nkind = "fax"\n')
    site.children["reporter"].send_signal(signal.SIGHUP)
    wait_for(lambda: "not taken over" in site.log("reporter"))
    site.feed(1)
    wait_for(lambda: len(in_file(tmp_path / "one.jsonl")) == 2)
    site.configure(f'[report.to.two]\nkind = "file"\npath = "{tmp_path}/two.jsonl"\n')
    site.children["reporter"].send_signal(signal.SIGHUP)
    wait_for(lambda: site.destination("two").get("kind") == "file")
    site.feed(1)
    wait_for(lambda: uids(in_file(tmp_path / "two.jsonl")) == ["gw-7:i-1-3:1"])
    assert "fax" in site.log("reporter")


def test_a_destination_is_tried_in_one_line(site: Site, tmp_path: Path) -> None:
    site.configure(f"""
[report.to.disk]
kind = "file"
path = "{tmp_path}/out.jsonl"
[report.to.away]
kind = "syslog"
host = "127.0.0.1"
port = {free_port()}
""")
    done = sekisho("reporter", "--config", site.config, "--test", "disk")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"disk: written to {tmp_path}/out.jsonl; the event is gw-7:test-")
    (event,) = in_file(tmp_path / "out.jsonl")
    assert (event["metadata"]["labels"], event["is_alert"], event["severity_id"]) == (["test"], False, 1)
    refused(sekisho("reporter", "--config", site.config, "--test", "away"), "127.0.0.1:", "cannot be reached")
    refused(sekisho("reporter", "--config", site.config, "--test", "fax"), "no destination", "disk, away")


def test_an_event_that_a_webhook_never_takes_holds_nothing_up(site: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with https(authority.pair("localhost"), judge=lambda body: 422 if b'"i-1-5"' in body else 200) as hooks:
        url = f"https://127.0.0.1:{hooks.port}/"
        site.configure(f'[report.to.hook]\nkind = "webhook"\nurl = "{url}"\nca = "{authority.path}"\n')
        site.start("keeper")
        site.feed(12)
        site.start("reporter")
        wait_for(lambda: site.destination("hook").get("waiting") == 0 and site.destination("hook")["sent"] == 11)
        taken = [e for _, body in hooks.posted if b'"i-1-5"' not in body for e in json.loads(body)["data"]]
    assert uids(taken) == [uid for uid in wanted(12) if uid != "gw-7:i-1-5:1"]
    assert site.destination("hook")["refused"] == 1
    assert "incident i-1-5 is left out for this destination" in site.log("reporter")


def test_a_flood_is_one_mail_also_after_a_restart(site: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with smtp(authority.pair("localhost")) as (mails, port):
        site.configure(f"""[report.to.people]
kind = "mail"
host = "127.0.0.1"
port = {port}
ca = "{authority.path}"
from = "gw@plant.example"
to = ["ops@plant.example"]
per_hour = 1
gather = "2s"
""")
        site.start("keeper", "reporter")
        for _ in range(8):
            site.feed(15)
        wait_for(lambda: site.destination("people")["sent"] == 120)
        site.feed(30)
        wait_for(lambda: site.destination("people").get("waiting") == 30)
        site.kill("reporter")
        site.start("reporter")
        site.feed(1)
        wait_for(lambda: site.destination("people").get("waiting") == 31)
        time.sleep(3)
        assert len(mails) == 1, "the hour's mail is used up"
    assert b"120 incidents, critical" in mails[0]


def test_what_was_closed_before_anybody_was_to_be_told_is_not_told(site: Site, tmp_path: Path) -> None:
    site.configure(f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/out.jsonl"\n')
    site.start("keeper")
    site.feed(3, state="closed")
    site.feed(2)
    site.start("reporter")
    wait_for(lambda: len(in_file(tmp_path / "out.jsonl")) == 2)
    ask(tmp_path / "keeper.sock", {"verb": "close", "id": "i-1-4", "by": "a", "note": ""})
    wait_for(lambda: len(in_file(tmp_path / "out.jsonl")) == 3)
    told = in_file(tmp_path / "out.jsonl")
    assert [(e["activity_name"], e["metadata"]["uid"]) for e in told] == [
        ("Create", "gw-7:i-1-4:1"),
        ("Create", "gw-7:i-1-5:1"),
        ("Close", "gw-7:i-1-4:2"),
    ]


def test_the_keeper_tells_how_the_reporter_fares(site: Site, tmp_path: Path) -> None:
    site.configure(f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/none/out.jsonl"\n')
    site.start("keeper", "reporter")
    site.feed(2)

    def reporter() -> dict[str, Any]:
        told: dict[str, Any] = ask(tmp_path / "keeper.sock", {"verb": "snapshot"})["snapshot"]["reporter"] or {}
        return told

    wait_for(lambda: reporter().get("destinations", [{}])[0].get("waiting") == 2)
    (told,) = reporter()["destinations"]
    assert (told["name"], told["kind"], told["dropped"]) == ("disk", "file", 0)


def test_a_configuration_without_the_table_is_refused(site: Site) -> None:
    site.config.write_text(f'[capture]\ninterfaces = ["none0"]\n[state]\ndirectory = "{site.folder}"\n', encoding="utf-8")
    refused(sekisho("reporter", "--config", site.config), "no table [report]")


def test_the_reporter_holds_no_capability(site: Site, tmp_path: Path) -> None:
    site.configure(f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/out.jsonl"\n')
    site.start("reporter")
    wait_for(lambda: (tmp_path / "reporter.json").exists())
    with open(f"/proc/{site.children['reporter'].pid}/status", encoding="ascii") as file:  # noqa: PTH123
        said = dict(line.split(":", 1) for line in file)
    assert int(said["CapEff"], 16) == int(said["CapPrm"], 16) == 0
    assert said["NoNewPrivs"].strip() == "1"
    assert os.stat(tmp_path / "reporter.sqlite").st_mode & 0o777 == 0o600  # noqa: PTH116
