"""A gateway goes into one file and comes out of it on another box; whatever is wrong with the file changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.errors import BackupError
from appliance.host.upkeep.backup_format import DOMAIN, MANIFEST, SIGNATURE, Opened
from appliance.host.upkeep.restore import AHEAD, restore
from tests.contract.cli import case, refused, sekisho
from tests.contract.test_reporter import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Box:
    """Two folders: where configuration and state are, and where backups go."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.state, self.out = folder / "etc", folder / "state", folder / "out"
        for made in (self.etc, self.state, self.out):
            made.mkdir()
        self.config, self.file = self.etc / "sekisho.toml", self.out / "box.backup"
        self.secret = self.out / "passphrase"
        self.secret.write_text("correct horse battery", encoding="utf-8")
        self.secret.chmod(0o600)
        hook = self._secret("hook", "whsec_aGVsbG8=")
        policy = self.etc / "policy.yaml"
        policy.write_text("version: 1\n", encoding="utf-8")
        self.config.write_text(
            f'[capture]\ninterfaces = ["none0"]\n[state]\ndirectory = "{self.state}"\n[enforce]\npolicy = "{policy}"\n'
            f'[report.to.hook]\nkind = "webhook"\nurl = "https://127.0.0.1:1/"\nsecret_file = "{hook}"\n',
            encoding="utf-8",
        )
        done = sekisho("learn", case("modbus-attack", "train"), "--baseline", self.state / "baseline")
        assert done.returncode == 0, done
        (self.state / "run").write_text("7\n", encoding="ascii")
        (self.state / "run.lock").touch()
        (self.state / "spool").mkdir()

    def _secret(self, name: str, text: str) -> Path:
        path = self.etc / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def backup(self, *more: str | Path) -> str:
        done = sekisho("backup", "--config", self.config, "--out", self.file, "--passphrase-file", self.secret, *more)
        assert (done.returncode, done.stderr) == (0, ""), done
        signer: str = done.stdout.split("signed by ")[1].split()[0]
        return signer

    def restored(self, *more: str | Path, passphrase: bool = True) -> Any:
        sealed = ["--passphrase-file", str(self.secret)] if passphrase else ["--without-secrets"]
        return sekisho("restore", self.file, "--config", self.config, *sealed, *more)

    def files(self) -> dict[str, bytes]:
        both = [*self.etc.rglob("*"), *self.state.rglob("*")]
        return {str(path): path.read_bytes() for path in both if path.is_file()}

    def lose(self) -> None:
        """Another box: nothing is there but the backup and what a person remembers."""
        for folder in (self.etc, self.state):
            shutil.rmtree(folder)
        self.etc.mkdir()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A box with a backup, to be copied: learning takes its time."""
    folder = tmp_path_factory.mktemp("box")
    box = Box(folder)
    database = sqlite3.connect(box.state / "enforcer.sqlite")
    database.execute("CREATE TABLE acts (id INTEGER)")
    database.close()
    (box.out / "signer").write_text(box.backup(), encoding="ascii")
    return folder


@pytest.fixture
def box(made: Path) -> Iterator[Box]:
    box = Box.__new__(Box)
    box.etc, box.state, box.out = made / "etc", made / "state", made / "out"
    box.config, box.file, box.secret = box.etc / "sekisho.toml", box.out / "box.backup", box.out / "passphrase"
    kept = made.with_name(made.name + "-kept")
    shutil.copytree(made, kept)
    yield box
    shutil.rmtree(made)
    kept.rename(made)


def signer_of(box: Box) -> str:
    return (box.out / "signer").read_text(encoding="ascii")


def test_a_box_comes_back_on_other_hardware(box: Box) -> None:
    before = box.files()
    box.lose()
    done = box.restored("--signer", signer_of(box))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "next: see that none0 are the interfaces of this box" in done.stdout
    after = box.files()
    run = str(box.state / "run")
    assert after[run] == b"%d\n" % (7 + AHEAD), "ids of incidents that came after the backup must not come again"
    same = [path for path in before if path not in (run, str(box.state / "run.lock"))]
    assert [path for path in same if not path.endswith(".sqlite") and after.get(path) != before[path]] == []
    assert {path.name: path.stat().st_mode & 0o777 for path in (box.state / "site.key", box.etc / "hook")} == {
        "site.key": 0o600,
        "hook": 0o600,
    }
    assert sqlite3.connect(box.state / "enforcer.sqlite").execute("SELECT name FROM sqlite_master").fetchall() == [("acts",)]
    assert sekisho("baseline", "show", box.state / "baseline").returncode == 0
    assert box.backup("--replace") == signer_of(box), "it is the same gateway"


def test_secrets_are_sealed(box: Box) -> None:
    key, secret = (box.state / "site.key").read_bytes(), (box.etc / "hook").read_bytes()
    with zipfile.ZipFile(box.file) as packed:
        held = b"".join(packed.read(name) for name in packed.namelist())
    assert key not in held
    assert secret not in held
    box.lose()
    box.secret.write_text("another passphrase", encoding="utf-8")
    refused(box.restored("--signer", signer_of(box)), "the passphrase is not the one")
    assert box.files() == {}
    done = box.restored("--signer", signer_of(box), passphrase=False)
    assert done.returncode == 0
    assert done.stderr.count("sealed, and no passphrase was given") == 2
    assert not (box.state / "site.key").exists()


def test_a_stranger_s_backup_is_not_taken(box: Box) -> None:
    other = "0" * 32
    refused(box.restored("--signer", other, "--replace", passphrase=False), "signed by", "not by 0000")
    (box.state / "site.key").write_bytes(Ed25519PrivateKey.generate().private_bytes_raw())
    refused(box.restored("--replace", passphrase=False), "signed by", signer_of(box))
    box.lose()
    refused(box.restored(), "--signer")
    assert box.files() == {}


def test_what_is_there_is_not_overwritten_unless_told_and_is_kept(box: Box) -> None:
    before = box.files()
    refused(box.restored(), "is there already", "--replace")
    assert box.files() == before
    (box.state / "run").write_text("9\n", encoding="ascii")
    (box.state / "enforcer.sqlite-wal").write_bytes(b"of the old one")
    done = box.restored("--replace")
    assert done.returncode == 0, done
    assert (box.state / "run.before-restore").read_text(encoding="ascii") == "9\n"
    assert not (box.state / "enforcer.sqlite-wal").exists()


def test_what_fails_on_the_way_leaves_everything_as_it_was(box: Box) -> None:
    (box.state / "run").write_text("9\n", encoding="ascii")
    (box.state / "enforcer.sqlite").unlink()
    blocked = box.state / "run.before-restore"
    blocked.mkdir()
    (blocked / "in the way").touch()
    before = box.files()
    refused(box.restored("--replace"), "cannot be written")
    assert box.files() == before


def test_every_cut_and_every_changed_octet_is_found_and_changes_nothing(box: Box) -> None:
    whole, signer = box.file.read_bytes(), signer_of(box)
    box.lose()
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        box.file.write_bytes(whole[:cut])
        refused(box.restored("--signer", signer), "no backup, or cut short")
    with zipfile.ZipFile(box.file.with_name("copy"), "w") as _:
        box.file.write_bytes(whole)
    steps = range(0, len(whole), max(1, len(whole) // 120))
    found = 0
    for at in steps:
        box.file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            opened = Opened(box.file)
            restore(opened, box.config, None, replace=False)
        except BackupError:
            found += 1
            assert box.files() == {}
        else:  # a name, a time or a checksum of the zip's own that nobody reads: what was signed is what came
            assert (box.state / "run").read_text(encoding="ascii") == f"{7 + AHEAD}\n"
            shutil.rmtree(box.state)
            shutil.rmtree(box.etc)
            box.etc.mkdir()
    assert found > 0.9 * len(steps)


def packed_anew(box: Box, change: Any, key: Ed25519PrivateKey | None = None) -> None:
    """The backup with another manifest, signed again where there is a key."""
    with zipfile.ZipFile(box.file) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    manifest = json.loads(files[MANIFEST])
    change(manifest)
    if key is not None:
        manifest["key"] = key.public_key().public_bytes_raw().hex()
    raw = json.dumps(manifest).encode()
    files[MANIFEST], files[SIGNATURE] = raw, key.sign(DOMAIN + raw) if key is not None else files[SIGNATURE]
    with zipfile.ZipFile(box.file, "w") as packed:
        for name, held in files.items():
            packed.writestr(name, held)


def entry(manifest: dict[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in manifest["files"] if e["where"].endswith(where))
    return found


def take(box: Box) -> None:
    """Restore, whoever signed it."""
    opened = Opened(box.file)
    restore(opened, box.config, opened.seal(b"correct horse battery"), replace=False)


CHANGES: dict[str, tuple[Any, str]] = {
    "later format": (lambda m: m.update(format=2), "later format (2"),
    "no files": (lambda m: m.update(files=5), "another form"),
    "a way out of the folder": (lambda m: entry(m, "baseline").update(where="../../etc/passwd"), "another form"),
    "a hidden name": (lambda m: entry(m, "baseline").update(where=".bashrc"), "another form"),
    "another hash": (lambda m: entry(m, "baseline").update(sha256="0" * 64), "not what was signed"),
    "another size": (lambda m: entry(m, "baseline").update(size=5), "not what was signed"),
    "a key too much": (lambda m: entry(m, "baseline").update(more=1), "another form"),
    "a key too few": (lambda m: entry(m, "baseline").pop("mode"), "another form"),
    "no configuration": (lambda m: entry(m, "sekisho.toml").update(kind="named"), "no configuration"),
    "a costly seal": (lambda m: m["seal"].update(n=1 << 30), "another form"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_was_signed_by_somebody_is_still_not_believed_blindly(box: Box, name: str) -> None:
    change, said = CHANGES[name]
    key = Ed25519PrivateKey.generate()
    packed_anew(box, change, key)
    box.lose()
    with pytest.raises(BackupError, match=re.escape(said)) as caught:
        take(box)
    assert "\n" not in str(caught.value)
    assert box.files() == {}


def test_a_changed_manifest_does_not_fit_its_signature(box: Box) -> None:
    packed_anew(box, lambda m: m.update(made=0))
    refused(box.restored("--check"), "signature does not fit")


def test_files_outside_of_the_configuration_s_folder_are_not_written(box: Box) -> None:
    victim = box.out / "cron"
    packed_anew(box, lambda m: entry(m, "policy.yaml").update(where=str(victim)), Ed25519PrivateKey.generate())
    box.lose()
    found = restore(Opened(box.file), box.config, None, replace=False)
    assert any("put it there by hand" in line for line in found.left_out)
    assert not victim.exists()


@pytest.mark.parametrize(("file", "version"), [("enforcer.sqlite", 1), ("keeper.sqlite", 99)])
def test_a_database_of_a_later_version_is_refused(box: Box, file: str, version: int) -> None:
    database = sqlite3.connect(box.state / file)
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    box.backup("--replace")
    box.lose()
    refused(box.restored("--signer", signer_of(box)), file, "a later version of sekisho")
    assert box.files() == {}


def test_a_check_says_what_is_in_it_and_writes_nothing(box: Box) -> None:
    before = box.files()
    done = box.restored("--check")
    assert (done.returncode, box.files()) == (0, before)
    assert signer_of(box) in done.stdout
    assert "site.key  60 bytes  sealed" in done.stdout
    assert "run.lock" not in done.stdout


def test_a_backup_that_cannot_be_is_one_line(box: Box, tmp_path: Path) -> None:
    again = sekisho("backup", "--config", box.config, "--out", box.file, "--passphrase-file", box.secret)
    refused(again, "--replace")
    refused(sekisho("backup", "--config", box.config, "--out", tmp_path / "none" / "x", "--without-secrets"), "cannot be written")
    short = tmp_path / "short"
    short.write_text("secret", encoding="utf-8")
    short.chmod(0o600)
    refused(sekisho("backup", "--config", box.config, "--out", tmp_path / "x", "--passphrase-file", short), "shorter than 12")
    short.chmod(0o644)
    refused(sekisho("backup", "--config", box.config, "--out", tmp_path / "x", "--passphrase-file", short), "chmod 600")
    (box.state / "keeper.sqlite").write_bytes(b"no database" * 1000)
    refused(sekisho("backup", "--config", box.config, "--out", tmp_path / "x", "--without-secrets"), "keeper.sqlite")
    assert list(tmp_path.glob("x*")) == []


def test_a_running_appliance_is_saved_and_never_restored_over(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure(f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/out.jsonl"\n')
    try:
        site.start("keeper", "reporter")
        site.feed(25)
        out = tmp_path / "b"
        done = sekisho("backup", "--config", site.config, "--out", out, "--without-secrets")
        assert done.returncode == 0, done
        assert "left out" in done.stderr
        signer = done.stdout.split("signed by ")[1].split()[0]
        told = sekisho("restore", out, "--config", site.config, "--check").stdout
        assert "keeper.sqlite" in told
        assert "out.jsonl" not in told
        over: list[str | Path] = ["restore", out, "--config", site.config, "--without-secrets", "--signer", signer, "--replace"]
        refused(sekisho(*over), "stop it first")
        site.feed(5)
        site.end("reporter")
        site.end("keeper")
        with socket.socket(socket.AF_UNIX) as enforcer:
            enforcer.bind(str(tmp_path / "enforcer.sock"))
            enforcer.listen()
            refused(sekisho(*over), "stop it first")
        assert sekisho(*over).returncode == 0
        site.start("keeper")
        listed = sekisho("incident", "list", "--config", site.config, "--limit", "500", "--format", "jsonl")
        assert len(listed.stdout.splitlines()) == 25
    finally:
        for name in list(site.children):
            site.kill(name)
