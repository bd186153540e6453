"""What documents and help tell people to type works, or at least exists: nothing is passed over in silence.

Commands that need captures, baselines, policies and plans only are run, in the order of the document, on captures of the
lab (tests/repo/scratch.py). Those that need root, systemd, a network or a running appliance are held against what they
name: parser, make targets, units, modules, fields of the journal. A command that is neither fails.
"""

import importlib.util
import json
import re
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest

from appliance import __version__
from appliance.cli.parser import parser
from appliance.config import parse_config
from appliance.errors import UsageError
from tests.repo.commands import DOCUMENTS, Command, blocks, examples, form_problems, inline, is_form, simple, typed
from tests.repo.scratch import PLANT, Scratch, sekisho
from tests.repo.tree import ROOT, run
from tests.repo.verbs import below, leaves

EXITS = {  # verbs that are run, and how they may end with the files they get; a capture with an attack has incidents
    ("learn",): {0},
    ("detect",): {1},
    ("replay",): {1},
    ("baseline", "show"): {0},
    ("baseline", "merge"): {0},
    ("baseline", "diff"): {0, 1},
    ("baseline", "accept"): {0},
    ("baseline", "forget"): {0},
    ("baseline", "review"): {0, 1},
    ("assets", "list"): {0},
    ("assets", "export"): {0},
    ("plan", "check"): {0},
    ("plan", "show"): {0},
    ("plan", "import"): {0},
    ("policy", "check"): {0},
    ("policy", "test"): {0},
    ("policy", "plan"): {0, 1},
    ("policy", "explain"): {0, 1},
    ("run", "--check"): {0},
}
STRANGERS = (".", "cd", "git", "tcpdump", "mergecap", "nft")  # programs of others, of which nothing of ours is named
UNITS = [path.name for path in (ROOT / "systemd").iterdir() if path.is_file()]
THEIR_UNITS = ("systemd-networkd",)
NEEDED = {"capture": '[capture]\ninterfaces = ["eth1"]\n', "state": '[state]\ndirectory = "/var/lib/sekisho"\n'}


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One of the plant, and one with an attack in the learning time."""
    folder = tmp_path_factory.mktemp("baselines")
    for part in ("train", "test"):
        done = sekisho(folder, ["learn", str(PLANT / f"{part}.pcap"), "--baseline", part])
        assert done.returncode == 0, done.stderr
    return folder / "train", folder / "test"


@pytest.fixture
def scratch(tmp_path: Path, baselines: tuple[Path, Path]) -> Scratch:
    return Scratch(tmp_path, *baselines)


def ends(command: Command) -> set[int] | None:
    """How a command that can be run here may end; None for one that needs more than files."""
    words = command.words[1:]
    if words[:1] == ("doctor",) and any(".pcap" in word for word in words):
        return {0, 1}
    return next((codes for verb, codes in EXITS.items() if words[:1] == verb[:1] and set(verb) <= set(words)), None)


def unit_problems(words: tuple[str, ...]) -> list[str]:
    """Units that nobody has, and those that are to be reloaded and cannot."""
    verb, *units = [word for word in words[1:] if not word.startswith("-")]
    missing = []
    for unit in units:
        mine = [name for name in UNITS if fnmatch(name, unit) or fnmatch(name, f"{unit}.service")]
        if not mine and unit not in THEIR_UNITS:
            missing.append(f"there is no unit {unit}")
        texts = [(ROOT / "systemd" / name).read_text(encoding="utf-8") for name in mine]
        if verb == "reload" and not any("ExecReload=" in text for text in texts):
            missing.append(f"{unit} cannot be reloaded")
    return missing


def journal_problems(words: tuple[str, ...]) -> list[str]:
    """Units, fields and message ids that no source of ours writes."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "appliance/host").rglob("*.py"))
    units = tuple(word for before, word in pairwise(words) if before == "-u")
    wanted = [part for word in words if "=" in word for part in ([word.split("=")[0]] if word[0] == "S" else word.split("="))]
    return [f"nobody writes {word}" for word in wanted if word not in sources] + (
        unit_problems(("", "", *units)) if units else []
    )


def package_problems(words: tuple[str, ...]) -> list[str]:
    """Packages that we do not build."""
    wanted = [word for word in words[2:] if not word.startswith("-")]
    ours = rf"sekisho|\./sekisho_({re.escape(__version__)}_amd64|NEW)\.deb"
    return [f"{word} is not what `make deb` builds" for word in wanted if not re.fullmatch(ours, word)]


def problems(command: Command) -> list[str]:
    """What is wrong with a command that is not run."""
    words = command.words
    match words[0]:
        case "sekisho":
            try:
                parser().parse_args(words[1:])
            except UsageError as error:
                return [str(error)]
            return []
        case "make":
            done = run("make", "-n", words[1], "SHARED=.")
            return [done.stderr] if done.returncode else []
        case "python":
            return [] if words[1] == "-m" and importlib.util.find_spec(words[2]) else [f"no module {words[2]}"]
        case "systemctl":
            return unit_problems(words)
        case "journalctl":
            return journal_problems(words)
        case "apt" | "apt-get":
            return package_problems(words)
    return [] if words[0] in STRANGERS else [f"nobody here knows {words[0]}"]


def carried_out(command: Command, scratch: Scratch) -> list[str]:
    """Run it where it can be run, else look at it; what is wrong."""
    codes = ends(command) if command.words[0] == "sekisho" else None
    if codes is None:
        return problems(command)
    done = scratch.run(command.words, command.after, command.into)
    return [] if done.returncode in codes else [f"exit code {done.returncode}: {done.stderr.strip() or done.stdout[-300:]}"]


def told(path: Path) -> list[Command]:
    """The commands of a document's blocks that can be typed as they stand."""
    lines = [line for block in blocks(path) for line in typed(block)]
    return [command for where, text in lines if not is_form(text) for command in simple(where, text)]


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if told(p)], ids=lambda p: p.name)
def test_commands_of_a_document_work(path: Path, scratch: Scratch) -> None:
    wrong = [(command.where, command.text, found) for command in told(path) if (found := carried_out(command, scratch))]
    assert wrong == []


@pytest.mark.parametrize("verb", examples())
def test_examples_of_the_help_work(verb: str, scratch: Scratch) -> None:
    wrong = [(command.text, found) for command in examples()[verb] if (found := carried_out(command, scratch))]
    assert wrong == []


def test_every_verb_that_needs_files_only_is_run_somewhere() -> None:
    everywhere = [command for path in DOCUMENTS for command in told(path)] + [c for found in examples().values() for c in found]
    words = [set(command.words) for command in everywhere if command.words[0] == "sekisho"]
    assert [verb for verb in EXITS if not any(set(verb) <= said for said in words)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_usage_and_commands_within_sentences_name_what_exists(path: Path) -> None:
    forms = [line for block in blocks(path) for line in typed(block) if is_form(line[1])]
    wrong = [(where, text, found) for where, text in [*forms, *inline(path)] if (found := named(where, text))]
    assert wrong == []


def named(where: str, text: str) -> list[str]:
    """What is wrong with usage, or with a command between backticks."""
    if text.startswith("sekisho "):
        return form_problems(text)
    return [found for command in simple(where, text) for found in problems(command)]


def test_the_table_of_verbs_is_whole() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    table = page[: page.index("## Exit codes")]
    cells = re.findall(r"`([^`]+)`", "\n".join(line for line in table.split("\n") if line.startswith("| `")))
    forms = [f"sekisho {cell}".replace("\\|", "|") for cell in cells if not cell.startswith("-")]
    assert [(form, found) for form in forms if (found := form_problems(form))] == []
    wanted = {tuple(one.prog.split()[1:]) for verb in below(parser()).values() for one in leaves(verb) if not below(one)}
    assert wanted - {verb for form in forms for verb in spelled(form)} == set()


def spelled(form: str) -> set[tuple[str, ...]]:
    """`incident list|show`: both verbs."""
    first, second = [*(word.split("|") for word in form.split()[1:3]), [""]][:2]
    one = {(name,) for name in first}
    return one | {(name, other) for name in first for other in second}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_configurations_of_a_document_are_taken(path: Path) -> None:
    for block in blocks(path):
        text = "\n".join(block.lines)
        if block.language == "toml" or (block.language == "indented" and re.match(r"\[[a-z]+\]\n", text)):
            tables = set(re.findall(r"^\[(\w+)\]", text, flags=re.M))
            rest = "".join(lines for table, lines in NEEDED.items() if table not in tables)
            parse_config(f"{text}\n{rest}", f"{path.name}:{block.line}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_records_of_a_document_are_what_their_schema_says(path: Path) -> None:
    """Lines of JSON with a type; those without one are JSON at least."""
    for line in (line for block in blocks(path) if block.language == "json" for line in block.lines):
        record = json.loads(line)
        if "type" in record:
            schema = json.loads((ROOT / f"docs/schema/{record['type']}.json").read_text(encoding="utf-8"))
            jsonschema.validate(record, schema, cls=jsonschema.Draft202012Validator)


def test_a_wrong_command_is_found() -> None:
    for text in ("sekisho learn", "sekisho lern x", "sekisho incident list --stat all", "make nothing-there", "sekishoctl x"):
        assert [found for command in simple("here", text) for found in problems(command)], text
    for text in ("systemctl reload sekisho", "systemctl start sekisho-nobody", "journalctl SEKISHO_NOTHING=1", "apt remove x"):
        assert [found for command in simple("here", text) for found in problems(command)], text
    for text in ("sekisho incident show|burn ID", "sekisho policy plan FILE --basline B", "sekisho polcy check"):
        assert form_problems(text), text


def test_nothing_is_run_that_needs_more_than_files() -> None:
    for text in (
        "sekisho doctor --seconds 60",
        "sekisho run --config x.toml",
        "sekisho setup --start",
        "sekisho policy apply x --by y",
    ):
        assert [ends(command) for command in simple("here", text)] == [None], text


def test_a_command_that_fails_when_it_is_run_is_found(scratch: Scratch) -> None:
    for text in (
        "sekisho learn notes.txt --baseline b",
        "sekisho detect monday.pcap --baseline plant.baseline",
        "sekisho plan check x",
    ):
        assert [found for command in simple("here", text) for found in carried_out(command, scratch)], text
    assert [carried_out(command, scratch) for command in simple("here", "sekisho assets list plant.baseline")] == [[]]
