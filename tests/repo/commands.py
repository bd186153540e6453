"""Commands that documents and the command's help tell people to type, found and taken apart.

A command stands in a block (fenced, or indented by four), or between backticks in a line. In a block marked `sh` or
`console` every line is a command; in another one those are that begin with the name of a program. Usage with brackets
or dots (`policy plan FILE [--output RULES]`) and what stands between backticks is a *form*: its words are held against
the parser, its places need not be filled.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.cli.parser import parser
from tests.repo.tree import ROOT
from tests.repo.verbs import below, leaves

PROGRAMS = ("sekisho", "make", "python", "systemctl", "journalctl", "apt", "apt-get")
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / f"{folder}/README.md" for folder in ("packaging", "pcaps", "systemd")),
    ]
)
SHELL = ("sh", "console", "bash")


@dataclass(frozen=True)
class Block:
    """Lines of a document without fence or indent; `line` is 1-based."""

    path: Path
    line: int
    language: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One simple command; `text` as it stands there, `after` what is written into it, `into` where its output goes."""

    where: str
    text: str
    words: tuple[str, ...]
    after: str = ""
    into: str = ""


def blocks(path: Path) -> Iterator[Block]:
    """All blocks of a document."""
    lines = path.read_text(encoding="utf-8").split("\n")
    at = 0
    while at < len(lines):
        end = at + 1
        if fence := re.fullmatch(r"```(\S*)", lines[at]):
            while lines[end] != "```":
                end += 1
            yield Block(path, at + 2, fence[1], tuple(lines[at + 1 : end]))
            end += 1
        elif lines[at].startswith("    ") and not lines[at - 1].strip():
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield Block(path, at + 1, "indented", tuple(line[4:] for line in lines[at:end]))
        at = end


def typed(block: Block) -> Iterator[tuple[str, str]]:
    """Where and what: the lines of a block that are commands, without prompt and words beside them."""
    if block.language not in (*SHELL, "", "indented"):
        return
    name = block.path.relative_to(ROOT)
    text = "\n".join(block.lines).replace("\\\n", " ")
    for number, line in enumerate(text.split("\n")):
        command = line.removeprefix("$ ")
        said = block.language == "console" and not line.startswith("$ ")
        if block.language in ("", "indented"):
            command = re.split(r"(?<=\S) {3,}(?![ <\[A-Z-])", command)[0]  # what it does stands beside it
            said = not re.match(rf"(?:{'|'.join(PROGRAMS)}) +(?!\d)\S", command)
        if command.strip() and not command.lstrip().startswith("#") and not said:
            yield f"{name}:{block.line + number}", command


def is_form(text: str) -> bool:
    """Whether it is usage, not something that can be typed."""
    return bool(re.search(r"\[|\.\.\.|\b(?:FILE|PCAP|ID|NAME|VERB|RULES|B|F)\b", text))


def simple(where: str, text: str) -> list[Command]:
    """The simple commands of a line, in order. Raises ValueError where a shell would not take it."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found: list[Command] = []
    words: list[str] = []
    after = into = ""
    for part in [*lexer, ";"]:
        if part in ("|", ";", "&&", "||"):
            if words:
                if ">" in words:
                    into = words.pop(words.index(">") + 1)
                    words.remove(">")
                found.append(Command(where, text, tuple(words), after, into))
            after, words, into = (" ".join(words), [], "") if part == "|" else ("", [], "")
        else:
            words.append(part)
    return found


def inline(path: Path) -> Iterator[tuple[str, str]]:
    """Where and what: commands between backticks."""
    lines = path.read_text(encoding="utf-8").split("\n")
    inside = {number for block in blocks(path) for number in range(block.line, block.line + len(block.lines))}
    for number, line in enumerate(lines, start=1):
        if number not in inside:
            for text in re.findall(rf"`((?:{'|'.join(PROGRAMS)}) [^`]+)`", line):
                yield f"{path.relative_to(ROOT)}:{number}", text.replace("\\|", "|")


def examples() -> dict[str, list[Command]]:
    """Verb -> the examples of its help; verbs that share a help stand once."""
    found: dict[str, list[Command]] = {}
    told: set[str] = set()
    for one in leaves(parser()):
        text = one.epilog or ""
        lines = re.findall(r"^  (\S.*)", text, flags=re.M)
        if lines and text not in told:
            found[one.prog] = [command for line in lines for command in simple(f"{one.prog} --help", line)]
        told.add(text)
    return found


def form_problems(text: str) -> list[str]:
    """What the parser does not know of a command or its usage: verbs and options; nothing else is looked at."""
    words = re.sub(r"[\[\]()]", " ", text).split()
    reached = [parser()]
    said = [word for word in words[1:] if word not in ("|", "...")]
    while said and below(reached[0]) and re.match(r"[a-z]", said[0]):
        names = said.pop(0).strip(",").split("|")
        wrong = [name for name in names if name not in below(reached[0])]
        if wrong:
            return [f"no verb {name}" for name in wrong]
        reached = [below(reached[0])[name] for name in names]
    known = {option for top in reached for one in leaves(top) for action in one._actions for option in action.option_strings}
    options = [option for word in said for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", word)]
    return [f"no option {option}" for option in options if option not in known]
