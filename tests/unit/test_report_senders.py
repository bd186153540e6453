"""Senders against real receivers: rsyslogd over TLS, an HTTPS server, an SMTP server, a disk."""

import base64
import hmac
import json
import os
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from appliance.config.report import Destination, Tls, ToFile, ToMail, ToSyslog, ToWebhook
from appliance.host.reporter.courier import Courier
from appliance.host.reporter.outbox import Outbox
from appliance.host.reporter.senders import SendError
from appliance.host.reporter.senders.file import FileSender
from appliance.host.reporter.senders.mail import MailSender
from appliance.host.reporter.senders.syslog import SyslogSender
from appliance.host.reporter.senders.webhook import WebhookSender
from appliance.report.event import About, Event
from appliance.report.redact import Redaction
from tests.unit.certificates import Authority, Pair
from tests.unit.receivers import RSYSLOGD, Rsyslogd, free_port, https, smtp, wait_for
from tests.unit.test_report_out import FINDING, RECORD

ABOUT = About("gw-7", "0.1.0")
NOW = 1_700_000_000 * 10**9
needs_rsyslog = pytest.mark.skipif(
    not RSYSLOGD, reason="rsyslogd is not installed: .ci/debian rsyslog rsyslog-openssl rsyslog-gnutls"
)


def event(seq: int, **changed: Any) -> Event:
    return Event(seq, NOW, RECORD | {"id": f"i-1-{seq}"} | changed, (FINDING,))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.pair("localhost")


@pytest.fixture(params=["ossl", "gtls"])
def rsyslogd(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority, pair: Pair) -> Iterator[Rsyslogd]:
    daemon = Rsyslogd(tmp_path, pair, authority.path, driver=request.param)
    daemon.start()
    yield daemon
    daemon.kill()


@needs_rsyslog
def test_rsyslog_takes_what_is_sent_in_order(rsyslogd: Rsyslogd, authority: Authority) -> None:
    sender = SyslogSender(ToSyslog("127.0.0.1", rsyslogd.port, Tls(str(authority.path))))
    sender.send([event(n) for n in range(1, 41)], ABOUT, NOW)
    said = sender.send([event(41, title="未知")], ABOUT, NOW)
    assert "TLSv1." in said
    wait_for(lambda: len(rsyslogd.messages()) == 41)
    assert [body["metadata"]["sequence"] for body in rsyslogd.bodies()] == list(range(1, 42))
    assert rsyslogd.messages()[0].startswith('<106>1 2015-02-24T17:40:21.900000Z gw-7 sekisho - incident [meta sequenceId="1"]')
    assert rsyslogd.bodies()[-1]["message"] == "未知"
    sender.close()


@needs_rsyslog
def test_a_receiver_that_asks_for_our_certificate_gets_it(tmp_path: Path, authority: Authority, pair: Pair) -> None:
    daemon = Rsyslogd(tmp_path, pair, authority.path, mode="x509/certvalid")
    daemon.start()
    try:
        client = authority.pair("gateway")
        with pytest.raises(SendError, match=r"127\.0\.0\.1:"):
            SyslogSender(ToSyslog("127.0.0.1", daemon.port, Tls(str(authority.path)))).send([event(1)], ABOUT, NOW)
        tls = Tls(str(authority.path), str(client.certificate), str(client.key))
        sender = SyslogSender(ToSyslog("127.0.0.1", daemon.port, tls))
        sender.send([event(2)], ABOUT, NOW)
        wait_for(lambda: len(daemon.messages()) == 1)
        assert daemon.bodies()[0]["metadata"]["sequence"] == 2
        client.key.chmod(0o644)
        sender.close()
        with pytest.raises(SendError, match="chmod 600"):
            sender.send([event(3)], ABOUT, NOW)
    finally:
        daemon.kill()


@needs_rsyslog
def test_a_receiver_that_is_not_believed_gets_nothing(rsyslogd: Rsyslogd, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    with pytest.raises(SendError, match="not believed"):
        SyslogSender(ToSyslog("127.0.0.1", rsyslogd.port, Tls(str(other.path)))).send([event(1)], ABOUT, NOW)
    tls = Tls(str(authority.path), name="siem.example")
    with pytest.raises(SendError, match=r"not believed \(Hostname mismatch"):
        SyslogSender(ToSyslog("127.0.0.1", rsyslogd.port, tls)).send([event(1)], ABOUT, NOW)
    assert rsyslogd.messages() == []


def test_a_receiver_that_is_away_is_said_in_one_line(authority: Authority) -> None:
    with pytest.raises(SendError, match="cannot be reached") as caught:
        SyslogSender(ToSyslog("127.0.0.1", free_port(), Tls(str(authority.path)))).send([event(1)], ABOUT, NOW)
    assert "\n" not in str(caught.value)
    with pytest.raises(SendError, match="no-such"):
        SyslogSender(ToSyslog("127.0.0.1", 1, Tls("/no-such"))).send([event(1)], ABOUT, NOW)


@needs_rsyslog
def test_what_a_dead_receiver_had_not_taken_is_not_said_to_have_arrived(rsyslogd: Rsyslogd, authority: Authority) -> None:
    sender = SyslogSender(ToSyslog("127.0.0.1", rsyslogd.port, Tls(str(authority.path))))
    sender.send([event(1)], ABOUT, NOW)
    rsyslogd.kill()
    with pytest.raises(SendError):
        sender.send([event(2)], ABOUT, NOW)
    rsyslogd.start()
    sender.send([event(2)], ABOUT, NOW)
    wait_for(lambda: len(rsyslogd.messages()) == 2)
    sender.close()


def test_an_event_that_we_cannot_send_ourselves_holds_nothing_up(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["disk"], 1 << 20)
    records = [RECORD | {"id": f"i-1-{n}", "revision": 1} for n in range(1, 8)]
    records[3] = records[3] | {"opened": 1e400}  # infinity: JSON has no word for it
    outbox.put([(record, [FINDING]) for record in records], 1, NOW)
    notes: list[str] = []
    destination = Destination("disk", "file", ToFile(str(tmp_path / "out.jsonl")))
    courier = Courier(destination, FileSender(ToFile(str(tmp_path / "out.jsonl"))), outbox, ABOUT, Redaction(), notes.append)
    for _ in range(20):
        courier.turn()
    assert lines(tmp_path / "out.jsonl") == [1, 2, 3, 5, 6, 7]
    assert courier.told(0, None)["refused"] == 1
    assert any("a defect of sekisho" in note and "i-1-4" in note for note in notes)


def to_hook(port: int, authority: Authority, secret: Path | None = None, batch: int = 50) -> WebhookSender:
    return WebhookSender(ToWebhook("127.0.0.1", port, "/in?x=1", Tls(str(authority.path)), str(secret or ""), batch))


def kept(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("secret", [b"plain words\n", b"whsec_" + base64.b64encode(b"k" * 32)])
def test_a_webhook_is_signed_as_standard_webhooks_asks(authority: Authority, pair: Pair, tmp_path: Path, secret: bytes) -> None:
    file = kept(tmp_path / "secret", secret)
    with https(pair) as hooks:
        sender = to_hook(hooks.port, authority, file)
        sender.send([event(1), event(2)], ABOUT, NOW)
        sender.send([event(1), event(2)], ABOUT, NOW + 10**9)
        sender.send([event(2)], ABOUT, NOW)
    (headers, body), (again, same), (other, _) = hooks.posted
    key = base64.b64decode(secret[6:]) if secret.startswith(b"whsec_") else b"plain words"
    signed = b"%s.%s.%s" % (headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
    assert headers["webhook-timestamp"] == "1700000000"
    assert headers["idempotency-key"] == headers["webhook-id"] == again["webhook-id"] != other["webhook-id"]
    assert same == body
    posted = json.loads(body)
    assert (posted["type"], posted["gateway"]) == ("sekisho.incidents", "gw-7")
    assert [e["metadata"]["uid"] for e in posted["data"]] == ["gw-7:i-1-1:2", "gw-7:i-1-2:2"]


def test_what_a_webhook_answers_decides_what_comes_next(authority: Authority, pair: Pair) -> None:
    def answered(status: int, count: int = 1, **headers: str) -> SendError:
        hooks.answers[:] = [(status, {k.replace("_", "-"): v for k, v in headers.items()})]
        with pytest.raises(SendError) as caught:
            sender.send([event(n) for n in range(1, count + 1)], ABOUT, NOW)
        return caught.value

    with https(pair) as hooks:
        sender = to_hook(hooks.port, authority)
        assert answered(503, retry_after="17").after == 17
        assert answered(429, retry_after="Tue, 14 Nov 2023 22:14:20 GMT").after == 60
        assert answered(503, retry_after="99999999").after == 3600
        assert answered(500, retry_after="soon").after is None
        assert answered(422, 3).smaller
        assert answered(422).refused
        assert not answered(401).refused
        assert "points elsewhere" in str(answered(302, location="https://example.org/"))
        assert len(hooks.posted) == 8


def test_a_secret_that_others_may_read_is_not_used(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    file = kept(tmp_path / "secret", b"s3cret")
    file.chmod(0o644)
    with https(pair) as hooks:
        with pytest.raises(SendError, match="chmod 600") as caught:
            to_hook(hooks.port, authority, file).send([event(1)], ABOUT, NOW)
        assert hooks.posted == []
    assert "s3cret" not in str(caught.value)
    for wrong in (b"", b"\n", b"x" * 5000):
        with pytest.raises(SendError, match="holds no secret"):
            to_hook(1, authority, kept(tmp_path / "secret", wrong)).send([event(1)], ABOUT, NOW)


def _who(_server: object, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"gw", b"p\xc3\xa4ss"), handled=False)


@pytest.fixture
def post(pair: Pair) -> Iterator[tuple[list[bytes], int]]:
    with smtp(pair, authenticator=_who, auth_required=True) as box:
        yield box


def to_mail(port: int, authority: Authority, password: Path, **changed: Any) -> MailSender:
    values: dict[str, Any] = {"security": "starttls", "sender": "gw@plant.example", "to": ("ops@plant.example",), "user": "gw"}
    return MailSender(ToMail("127.0.0.1", port, tls=Tls(str(authority.path)), password=str(password), **(values | changed)))


def test_mail_goes_as_one_digest_over_starttls(post: tuple[list[bytes], int], authority: Authority, tmp_path: Path) -> None:
    box, port = post
    password = kept(tmp_path / "password", "päss\n".encode())
    events = [event(1), event(2, cause="fault", technique="", title="PLC\x1b[2J\nBcc: x@example.org"), event(1, revision=3)]
    to_mail(port, authority, password).send(events, ABOUT, NOW)
    (raw,) = box
    mail = message_from_bytes(raw, policy=default)
    assert mail["Subject"].startswith("[sekisho gw-7] 2 incidents, critical: 10.0.0.9 sent 10.0.0.1 a command")
    assert (mail["To"], mail["Bcc"], mail["Auto-Submitted"]) == ("ops@plant.example", None, "auto-generated")
    text = mail.get_content()
    assert text.index("i-1-1") < text.index("i-1-2")
    assert text.count("i-1-1 ") == 1
    assert "\x1b" not in text
    assert "1. Find the device 10.0.0.9" in text
    to_mail(port, authority, password).send([event(1)], About("gw-7", "0.1.0", "ja"), NOW)
    subject = message_from_bytes(box[1], policy=default)["Subject"]
    assert subject.startswith("[sekisho gw-7] インシデント 1 件, 重大: ")


def test_a_mail_server_that_refuses_is_told_without_the_password(
    post: tuple[list[bytes], int], authority: Authority, tmp_path: Path
) -> None:
    box, port = post
    password = kept(tmp_path / "password", b"wr0ng")
    with pytest.raises(SendError, match="does not take user and password") as caught:
        to_mail(port, authority, password).send([event(1)], ABOUT, NOW)
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(SendError, match=r"127\.0\.0\.1"):
        to_mail(port, authority, password, security="tls").send([event(1)], ABOUT, NOW)
    assert box == []


def test_a_flood_is_one_mail(authority: Authority, tmp_path: Path) -> None:
    sender = to_mail(1, authority, tmp_path, per_hour=2, gather_s=30.0)
    second, hour = 10**9, 3600 * 10**9
    assert sender.hold([event(1)], [], NOW) == 30
    assert sender.hold([event(1), event(2)], [], NOW + 20 * second) == 10
    assert sender.hold([event(1)], [], NOW + 40 * second) == 0
    late = NOW + 600 * second
    assert sender.hold([event(1)], [late - 2 * hour, late - 1800 * second], late) == 0
    assert sender.hold([event(1)], [late - 3000 * second, late - 100 * second], late) == 600
    assert sender.hold([event(1)], [NOW + hour, NOW + hour], late) == 0, "a clock that was set back holds nothing up"
    assert sender.hold([event(1)], [], NOW - hour) == 0


def lines(path: Path) -> list[int]:
    return [json.loads(line)["metadata"]["sequence"] for line in path.read_text(encoding="ascii").splitlines()]


def test_a_file_is_appended_to_and_rotated(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sender = FileSender(ToFile(str(path), max_bytes=12_000, keep=2))
    for n in range(1, 31):
        sender.send([event(n)], ABOUT, NOW)
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()
    kept_files = [path.with_name("out.jsonl.2"), path.with_name("out.jsonl.1"), path]
    found = [n for file in kept_files for n in lines(file)]
    assert found == list(range(found[0], 31))
    assert all(file.stat().st_size <= 12_000 for file in kept_files)
    assert not path.with_name("out.jsonl.3").exists()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_a_line_is_on_the_disk_before_it_is_said_to_have_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced, real = tmp_path / "out.jsonl", [], os.fsync

    def fsync(number: int) -> None:
        synced.append(path.stat().st_size if path.exists() else 0)
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    FileSender(ToFile(str(path))).send([event(1)], ABOUT, NOW)
    assert synced[-1] == path.stat().st_size > 0


def test_half_a_line_that_a_crash_left_goes(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    FileSender(ToFile(str(path))).send([event(1)], ABOUT, NOW)
    with path.open("ab") as file:
        file.write(b'{"half":' + b"x" * 9000)
    FileSender(ToFile(str(path))).send([event(2)], ABOUT, NOW)
    assert lines(path) == [1, 2]


def test_a_file_that_cannot_be_written_is_said_and_a_link_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(SendError, match="cannot be written"):
        FileSender(ToFile(str(tmp_path / "none" / "out"))).send([event(1)], ABOUT, NOW)
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(SendError, match="cannot be written"):
        FileSender(ToFile(str(tmp_path / "link"))).send([event(1)], ABOUT, NOW)
    with pytest.raises(SendError, match="No space left"):
        FileSender(ToFile("/dev/full")).send([event(1)], ABOUT, NOW)


def test_a_peer_that_never_answers_ends_in_a_line(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr("appliance.host.reporter.senders.webhook.PATIENCE_S", 0.3)
        with pytest.raises(SendError, match="does not answer in time"):
            to_hook(port, authority).send([event(1)], ABOUT, NOW)
