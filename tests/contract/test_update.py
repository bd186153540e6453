"""Bundles, made by the real maker, installed by real apt-get and dpkg into a root of their own; a bad one changes nothing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from appliance.host.upkeep.bundle import DOMAIN, MANIFEST, SIGNATURE
from tests.contract.cli import ROOT, environment, refused, sekisho

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="not on Debian"),
    pytest.mark.skipif(os.geteuid() != 0, reason="installs into a root of its own: needs root"),
]
MAKER = str(ROOT / "packaging/bundle_update.py")
ARCH = "amd64"


def deb(folder: Path, version: str, name: str = "sekisho", arch: str = ARCH, depends: str = "", script: str = "") -> Path:
    """A small package with one file that holds its version."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    holds = tree / "usr/share" / name
    holds.mkdir(parents=True)
    (holds / "version").write_text(version, encoding="ascii")
    needs = f"Depends: {depends}\n" if depends else ""
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: T <t@localhost.invalid>\n{needs}"
        "Installed-Size: 4\nDescription: a test\n",
        encoding="ascii",
    )
    if script:
        (tree / "DEBIAN/preinst").write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        (tree / "DEBIAN/preinst").chmod(0o755)
    made = folder / f"{name}_{version}_{arch}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", str(tree), str(made)], check=True, capture_output=True)
    shutil.rmtree(tree)
    return made


def maker(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, MAKER, *map(str, arguments)], capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def resign(bundle: Path, key: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """The manifest changed, and signed again: what only the holder of the key can do."""
    said = json.loads((bundle / MANIFEST).read_bytes())
    change(said)
    raw = json.dumps(said).encode()
    signer: Any = load_pem_private_key(key.read_bytes(), None)
    (bundle / MANIFEST).write_bytes(raw)
    (bundle / SIGNATURE).write_bytes(signer.sign(DOMAIN + raw))


class Box:
    """A root that apt-get and dpkg install into, a stick, the maker's key, and a gateway that was set up."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state, self.stick = folder / "root", folder / "state", folder / "stick"
        self.keys, self.config, self.release = folder / "keys", folder / "sekisho.toml", folder / "release.key"
        for name in ("lib/dpkg/info", "lib/dpkg/updates", "lib/dpkg/triggers", "lib/apt/lists/partial", "log/apt"):
            (self.root / "var" / name).mkdir(parents=True)
        for name in ("var/cache/apt/archives/partial", "etc/apt/apt.conf.d", "etc/apt/preferences.d"):
            (self.root / name).mkdir(parents=True)
        for name in ("status", "available"):
            (self.root / "var/lib/dpkg" / name).touch()
        (folder / "apt.conf").write_text(
            f'Dir "{self.root}/";\nDir::State::status "{self.root}/var/lib/dpkg/status";\nDir::Bin::dpkg "/usr/bin/dpkg";\n'
            f'DPkg::Options {{ "--root={self.root}"; "--force-script-chrootless"; }};\n',
            encoding="ascii",
        )
        self.env = environment(APT_CONFIG=str(folder / "apt.conf"), DPKG_ADMINDIR=str(self.root / "var/lib/dpkg"))
        for made in (self.state, self.stick):
            made.mkdir()
        self.config.write_text(f'[capture]\ninterfaces = ["none0"]\n[state]\ndirectory = "{self.state}"\n', encoding="ascii")
        (self.state / "run").write_text("7\n", encoding="ascii")
        maker("test-key", self.release)
        self.public = folder / "release.pub"
        self.public.write_text(maker("public", "--name", "maker", self.release), encoding="ascii")

    def run(self, verb: str, *arguments: str | Path) -> Any:
        more: list[str | Path] = [] if verb in {"check", "keys"} else ["--config", self.config]
        return sekisho("update", verb, *arguments, "--keys", self.keys, *more, env=self.env)

    def trust(self) -> None:
        assert self.run("trust", self.public, "--by", "Sato").returncode == 0

    def bundle(self, version: str, *packages: Path, key: Path | None = None, **more: str) -> Path:
        made = deb(self.stick, version, **more)
        maker("make", "--key", key or self.release, "--out", self.stick, made, *packages)
        made.unlink()
        return self.stick / f"sekisho-update_{version}_{more.get('arch', ARCH)}"

    def installed(self, name: str = "sekisho") -> str:
        path = self.root / "usr/share" / name / "version"
        return path.read_text(encoding="ascii") if path.exists() else ""

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state / "updates/log.jsonl").read_text(encoding="utf-8").splitlines()]

    def everything(self) -> dict[str, bytes]:
        """Contents of root, keys and state; not the lock."""
        files = [path for top in (self.root, self.keys, self.state) for path in top.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files if path.name != "lock"}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box that trusts the maker, with nothing installed yet."""
    made = Box(tmp_path)
    made.trust()
    return made


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """Such a box with 1.0, for many tests that change nothing."""
    made = Box(tmp_path_factory.mktemp("still"))
    made.trust()
    assert made.run("install", made.bundle("1.0")).returncode == 0
    made.bundle("2.0")
    return made


@pytest.fixture
def old(box: Box) -> Box:
    """That box with 1.0 installed from a bundle."""
    done = box.run("install", box.bundle("1.0"), "--by", "Sato")
    assert done.returncode == 0, done
    return box


def test_a_good_bundle_is_installed_backed_up_and_logged(old: Box) -> None:
    bundle = old.bundle("2.0")
    said = old.run("check", bundle)
    assert (said.returncode, old.installed()) == (0, "1.0"), said
    assert "would install sekisho 2.0" in said.stdout
    done = old.run("install", bundle, "--by", "Mori")
    assert (done.returncode, done.stderr, old.installed()) == (0, "", "2.0"), done
    fingerprint = maker_fingerprint(old)
    assert [word for word in ("sekisho 2.0 is installed; before: 1.0", fingerprint, "no keys") if word not in done.stdout] == []
    last = old.log()[-1]
    assert {key: last[key] for key in ("what", "by", "from", "to", "key", "fingerprint")} == {
        "what": "installed",
        "by": "Mori",
        "from": "1.0",
        "to": "2.0",
        "key": "maker",
        "fingerprint": fingerprint,
    }
    held = (old.state / "updates/installed/sekisho_2.0_amd64.deb").read_bytes()
    assert last["files"] == {"sekisho_2.0_amd64.deb": hashlib.sha256(held).hexdigest()}
    assert sekisho("restore", last["backup"], "--config", old.config, "--check").returncode == 0


def maker_fingerprint(box: Box) -> str:
    done = box.run("keys")
    fingerprint, name = done.stdout.split()
    assert name == "maker"
    return str(fingerprint)


def test_the_way_back_that_is_told_leads_back(old: Box) -> None:
    done = old.run("install", old.bundle("2.0"))
    told = next(line for line in done.stdout.splitlines() if line.startswith("to go back: "))
    assert old.run("install", *told.partition("sekisho update install ")[2].split()).returncode == 0
    assert old.installed() == "1.0"
    assert [row["to"] for row in old.log() if row["what"] == "installed"] == ["1.0", "2.0", "1.0"]


def test_a_way_back_is_not_promised_to_a_version_that_is_not_kept(old: Box, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = deb(tmp_path / "other", "1.5")
    subprocess.run(["apt-get", "install", "-y", str(other)], env=old.env, check=True, capture_output=True, timeout=60)
    done = old.run("install", old.bundle("2.0"))
    assert (done.returncode, old.installed()) == (0, "2.0")
    assert "with the bundle or package of 1.5 that you have" in done.stdout
    assert not (old.state / "updates/previous").exists()


def test_dependencies_come_along_and_those_that_are_there_stay(old: Box) -> None:
    depends = old.stick / "depends"
    depends.mkdir()
    first = deb(depends, "3.1", name="libthing")
    assert old.run("install", old.bundle("2.0", first, depends="libthing (>= 3)")).returncode == 0
    assert (old.installed(), old.installed("libthing")) == ("2.0", "3.1")
    first.unlink()
    done = old.run("install", old.bundle("2.1", deb(depends, "3.0", name="libthing"), depends="libthing (>= 3)"))
    assert (done.returncode, old.installed(), old.installed("libthing")) == (0, "2.1", "3.1"), done


BAD: dict[str, tuple[Callable[[Box, Path], object], str]] = {
    "changed package": (lambda _, b: _flip(next(b.glob("*.deb")), -1), "not what was signed"),
    "truncated package": (lambda _, b: _cut(next(b.glob("*.deb"))), "not what was signed"),
    "longer package": (lambda _, b: _longer(next(b.glob("*.deb"))), "not what was signed"),
    "changed manifest": (lambda _, b: _flip(b / MANIFEST, -2), "signed by none of the keys"),
    "truncated manifest": (lambda _, b: _cut(b / MANIFEST), "signed by none of the keys"),
    "changed signature": (lambda _, b: _flip(b / SIGNATURE, 0), "signed by none of the keys"),
    "empty signature": (lambda _, b: (b / SIGNATURE).write_bytes(b""), "signed by none of the keys"),
    "huge manifest": (lambda _, b: (b / MANIFEST).write_bytes(b" " * (1 << 20)), "manifest.json is not what was signed"),
    "no manifest": (lambda _, b: (b / MANIFEST).unlink(), "no manifest.json in it"),
    "missing package": (lambda _, b: next(b.glob("*.deb")).unlink(), "is missing"),
    "a link": (lambda box, b: _link(next(b.glob("*.deb")), box.stick / "elsewhere"), "is a symbolic link"),
    "a pipe": (lambda _, b: _pipe(next(b.glob("*.deb"))), "no plain file"),
    "an extra file": (lambda _, b: (b / "autorun.inf").touch(), "'autorun.inf' does not belong to the bundle"),
    "an extra folder": (lambda _, b: (b / "more").mkdir(), "'more' does not belong"),
    "a later format": (lambda box, b: resign(b, box.release, lambda said: said.update(format=2)), "of a later format (2;"),
    "a name that leads out": (
        lambda box, b: resign(b, box.release, lambda said: said["files"][0].update(name="../x.deb")),
        "another form",
    ),
    "too many octets": (
        lambda box, b: resign(b, box.release, lambda said: said["files"][0].update(size=1 << 40)),
        "another form",
    ),
    "another version than it says": (
        lambda box, b: resign(b, box.release, lambda said: said.update(version="2.5")),
        "does not hold the sekisho 2.5 it says",
    ),
    "signed, and no package": (lambda box, b: _no_package(box, b), "no Debian package"),
}


def _flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _link(path: Path, to: Path) -> None:
    path.rename(to)
    path.symlink_to(to)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _no_package(box: Box, bundle: Path) -> None:
    path = next(bundle.glob("*.deb"))
    path.write_bytes(b"no package")
    resign(bundle, box.release, lambda said: said["files"][0].update(size=10, sha256=hashlib.sha256(b"no package").hexdigest()))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_bundle_is_one_line_and_changes_nothing(still: Box, case: str, tmp_path: Path) -> None:
    bundle = shutil.copytree(still.stick / "sekisho-update_2.0_amd64", tmp_path / "bundle")
    spoil, says = BAD[case]
    spoil(still, bundle)
    before = still.everything()
    refused(still.run("install", bundle), says)
    assert still.everything() == before


def test_a_check_refuses_what_an_install_refuses(still: Box, tmp_path: Path) -> None:
    bundle = shutil.copytree(still.stick / "sekisho-update_2.0_amd64", tmp_path / "bundle")
    assert still.run("check", bundle).returncode == 0
    _cut(next(bundle.glob("*.deb")))
    refused(still.run("check", bundle), "not what was signed")
    refused(still.run("check", tmp_path / "none"), "No such file")
    refused(still.run("check", next(bundle.glob("*.deb"))), "no folder")


def test_a_bundle_of_a_stranger_is_refused(still: Box, tmp_path: Path) -> None:
    maker("test-key", tmp_path / "stranger.key")
    bundle = still.bundle("2.0", key=tmp_path / "stranger.key")
    before = still.everything()
    refused(still.run("install", bundle), "signed by none of the keys", "maker")
    assert still.everything() == before


def test_a_box_for_another_architecture_and_an_older_version_are_refused(old: Box) -> None:
    before = old.everything()
    refused(old.run("install", old.bundle("2.0", arch="arm64")), "for arm64, this box is amd64")
    refused(old.run("install", old.bundle("0.9")), "--allow-downgrade")
    refused(old.run("install", old.bundle("1.0")), "1.0 is installed already")
    assert old.everything() == before
    done = old.run("install", old.stick / "sekisho-update_0.9_amd64", "--allow-downgrade")
    assert (done.returncode, old.installed()) == (0, "0.9"), done


def test_what_is_not_in_the_bundle_is_not_fetched_and_the_old_version_stays(old: Box) -> None:
    refused(old.run("install", old.bundle("2.0", depends="libthing (>= 3)")), "Depends: libthing", "sekisho 1.0 is installed")
    assert (old.installed(), old.log()[-1]["what"]) == ("1.0", "failed")
    assert not (old.state / "updates/incoming").exists()


def test_a_package_whose_script_fails_leaves_the_old_version_and_says_so(old: Box) -> None:
    refused(old.run("install", old.bundle("2.0", script="exit 3")), "not updated", "sekisho 1.0 is installed", "apt.log")
    assert old.installed() == "1.0"
    assert old.run("install", old.bundle("2.1")).returncode == 0


@pytest.mark.parametrize("ends", ["0", "3"], ids=["well", "badly"])
def test_the_program_may_be_replaced_while_it_runs(old: Box, tmp_path: Path, ends: str) -> None:
    copy = tmp_path / "program"
    shutil.copytree(ROOT / "appliance", copy / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    replaced = f"""find {copy} -name '*.py' | while read -r f; do echo 'raise SystemError("of another version")' >"$f"; done"""
    bundle = old.bundle("2.0", script=f"{replaced}\nexit {ends}")
    old.env |= {"PYTHONPATH": str(copy)}
    arguments = [sys.executable, "-B", "-m", "appliance", "update", "install", str(bundle), "--keys", str(old.keys)]
    arguments += ["--config", str(old.config)]
    done = subprocess.run(arguments, env=old.env, capture_output=True, text=True, timeout=60, check=False)
    if ends == "0":
        assert (done.returncode, done.stderr, old.installed()) == (0, "", "2.0"), done
    else:
        refused(done, "not updated", "sekisho 1.0 is installed")
    assert "SystemError" in (copy / "appliance/cli/update.py").read_text(encoding="utf-8")


def test_a_stick_that_goes_or_changes_after_the_check_wins_nothing(old: Box) -> None:
    bundle = old.stick / "sekisho-update_2.0_amd64"
    swap = f"for f in {bundle}/*; do echo other > $f; done"  # before dpkg reads the files of the package
    old.bundle("2.0", script=swap)
    done = old.run("install", bundle)
    assert (done.returncode, old.installed()) == (0, "2.0"), done
    assert (bundle / MANIFEST).read_text(encoding="ascii") == "other\n"
    refused(old.run("check", bundle), "signed by none of the keys")


def test_killed_in_the_middle_the_installation_ends_and_the_next_waits_for_it(old: Box) -> None:
    mark = old.stick / "mark"
    bundle = old.bundle("2.0", script=f"touch {mark}; sleep 4")
    arguments = [sys.executable, "-m", "appliance", "update", "install", str(bundle), "--keys", str(old.keys)]
    with subprocess.Popen([*arguments, "--config", str(old.config)], env=old.env) as process:
        _until(mark.exists)
        process.kill()
    refused(old.run("install", bundle), "another update runs")
    _until(lambda: old.installed() == "2.0" and old.run("install", bundle).stderr.count("installed already") == 1)
    assert old.log()[-1]["what"] == "begins"
    assert old.run("install", old.bundle("2.1")).returncode == 0


def _until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_one_update_at_a_time(still: Box) -> None:
    with (still.state / "updates/lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(still.run("install", still.stick / "sekisho-update_2.0_amd64"), "another update runs")


def test_a_box_without_a_key_takes_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path)
    refused(box.run("install", box.bundle("1.0")), "no key is trusted yet", "sekisho update trust")
    assert box.installed() == ""


def test_a_key_of_another_fingerprint_or_the_same_name_is_not_taken(box: Box, tmp_path: Path) -> None:
    other, public = tmp_path / "other.key", tmp_path / "other.pub"
    maker("test-key", other)
    public.write_text(maker("public", "--name", "maker", other), encoding="ascii")
    before = box.everything()
    refused(box.run("trust", public, "--by", "Sato", "--fingerprint", maker_fingerprint(box)), "do not trust it")
    refused(box.run("trust", public, "--by", "Sato"), "another key has that name")
    public.write_bytes(other.read_bytes())
    refused(box.run("trust", public, "--by", "Sato"), "no key for updates")
    assert box.everything() == before
    assert (box.log()[0]["what"], box.log()[0]["by"]) == ("trusts", "Sato")


def test_folders_that_others_may_write_are_not_believed(old: Box) -> None:
    bundle = old.bundle("2.0")
    for path in (old.keys, next(old.keys.iterdir()), old.state / "updates"):
        mode = path.stat().st_mode
        path.chmod(0o777)
        refused(old.run("install", bundle), "others than root may change it")
        path.chmod(mode)
    shutil.rmtree(old.state / "updates")
    (old.state / "updates").mkdir(mode=0o700)
    os.chown(old.state / "updates", 12345, -1)  # as a process of the appliance that was taken over could prepare it
    refused(old.run("install", bundle), "others than root may change it")
    assert old.installed() == "1.0"


@pytest.mark.parametrize("words", [("install", "anything"), ("trust", "anything", "--by", "Sato")], ids=lambda words: words[0])
def test_only_root_changes_anything(words: tuple[str, ...]) -> None:
    as_nobody = (  # imported first: Python itself may stand where nobody may read
        "import os, sys, appliance.cli.update, appliance.report.wording; from appliance.cli.__main__ import main, parser; "
        "parser(); os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    )
    arguments = [sys.executable, "-c", as_nobody, "update", *words]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    refused(done, f"update {words[0]}: only root")


def test_the_tar_holds_the_same_and_the_same_input_gives_the_same_octets(box: Box, tmp_path: Path) -> None:
    made, digests = deb(tmp_path, "1.0"), []
    for name in ("a", "b"):
        env = environment(SOURCE_DATE_EPOCH="1700000000")
        arguments = [sys.executable, MAKER, "make", "--key", str(box.release), "--out", str(tmp_path / name), str(made)]
        subprocess.run(arguments, check=True, env=env, capture_output=True, timeout=60)
        tar = tmp_path / name / "sekisho-update_1.0_amd64.tar"
        digests.append(hashlib.sha256(tar.read_bytes()).digest())
        with tarfile.open(tar) as opened:
            opened.extractall(tmp_path / f"{name}.out")  # noqa: S202 our own; filters came with 3.11.4, Debian 12 has 3.11.2
    assert digests[0] == digests[1]
    unpacked = tmp_path / "a.out/sekisho-update_1.0_amd64"
    assert {path.name for path in unpacked.iterdir()} == {MANIFEST, SIGNATURE, "sekisho_1.0_amd64.deb"}
    assert box.run("check", unpacked).returncode == 0


def test_a_private_key_that_others_read_signs_nothing(box: Box, tmp_path: Path) -> None:
    box.release.chmod(0o644)
    arguments = [
        sys.executable,
        MAKER,
        "make",
        "--key",
        str(box.release),
        "--out",
        str(tmp_path / "o"),
        str(deb(tmp_path, "1.0")),
    ]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n"), "others may read it" in done.stderr) == (2, 1, True), done
    assert not (tmp_path / "o").exists()
