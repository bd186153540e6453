"""`sekisho setup`: what is asked, what is written, what is never overwritten."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.setup_texts import TEXTS
from appliance.config import parse_config
from appliance.config.sample import Answers, Mode, sample
from appliance.errors import UsageError

SEKISHO = [sys.executable, "-m", "appliance", "setup"]


def setup(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SEKISHO, *map(str, arguments)], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False
    )


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_what_is_written_is_sound_and_says_what_was_answered(mode: Mode, language: str) -> None:
    config = parse_config(sample(Answers(("eth1", "eth2"), mode, language, "8h"), "c"), "c")
    assert config.capture.interfaces == ("eth1", "eth2")
    assert config.output.language == language
    assert config.learning.for_ns == 8 * 3600 * 10**9
    assert (config.directory, config.runtime) == ("/var/lib/sekisho", "/run/sekisho")
    assert (config.enforce is None) == (mode is Mode.MIRROR)
    assert config.enforce is None or config.enforce.bridge == (mode is Mode.BRIDGE)


@pytest.mark.parametrize("answers", [Answers(('x"]\n[state]',)), Answers(("eth1",), learn_for='8h"\n'), Answers(())])
def test_an_answer_cannot_write_other_keys(answers: Answers) -> None:
    with pytest.raises(UsageError):
        sample(answers, "c")


def test_a_script_sets_it_up_without_a_question(tmp_path: Path) -> None:
    path = tmp_path / "etc/sekisho.toml"
    done = setup("--interface", "eth77", "--mode", "mirror", "--lang", "en", "--config", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "eth77: not there now" in done.stdout
    assert parse_config(path.read_text(), "c").capture.interfaces == ("eth77",)


def test_a_configuration_that_is_there_stays_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "sekisho.toml"
    path.write_text("mine")
    answers = ("--interface", "eth77", "--mode", "mirror", "--lang", "en", "--config", path)
    done = setup(*answers)
    assert done.returncode == 2
    assert "--replace" in done.stderr
    assert path.read_text() == "mine"
    assert setup(*answers, "--replace").returncode == 0
    assert "eth77" in path.read_text()


@pytest.mark.parametrize(("language", "word"), [("en", "WITHOUT POWER NOTHING PASSES"), ("ja", "電源が落ちると何も通りません")])
def test_a_bridge_says_what_power_loss_means(tmp_path: Path, language: str, word: str) -> None:
    ports = ("--interface", "eth77", "--interface", "eth78")
    done = setup(*ports, "--mode", "bridge", "--lang", language, "--config", tmp_path / "c")
    assert done.returncode == 0
    assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--mode", "mirror", "--lang", "en"), "--interface is missing"),
        (("--interface", "eth77", "--lang", "en"), "--mode is missing"),
        (("--interface", "eth77", "--mode", "bridge", "--lang", "en"), "needs 2 interfaces"),
        (("--interface", "eth 77", "--mode", "mirror", "--lang", "en"), "no name of an interface"),
        (("--interface", "eth77", "--mode", "mirror", "--lang", "en", "--learn-for", "soon"), "not a duration"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_nothing_is_written(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = setup(*arguments, "--config", tmp_path / "c")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_person_at_a_terminal_is_asked_and_may_mistype(tmp_path: Path) -> None:
    path = tmp_path / "c"
    master, slave = pty.openpty()
    os.write(master, b"en\nmirrror\nmirror\neth77\n")
    done = subprocess.run([*SEKISHO, "--config", path], stdin=slave, capture_output=True, text=True, timeout=30, check=False)
    os.close(master)
    os.close(slave)
    assert done.returncode == 0, done.stderr
    assert "'mirrror' is none of mirror, bridge, router" in done.stderr
    assert parse_config(path.read_text(), "c").capture.interfaces == ("eth77",)


def test_both_languages_say_the_same_things() -> None:
    assert TEXTS["en"].keys() == TEXTS["ja"].keys()
