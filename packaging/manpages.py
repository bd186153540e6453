"""Manual pages from the command's own help: `python3 packaging/manpages.py SITE OUTPUT`, or `make man`.

sekisho(1), and sekisho-VERB(1) for every verb, with the verbs below it as sections. They are made from the parser that
the command itself uses, found in the folder SITE, so that help and manual cannot differ; sekisho.toml(5) from what the
configuration's own module says at its top. OUTPUT gets man1/ and man5/, as `man -M OUTPUT` wants them. Nothing but
Python's library is needed: the Debian package is built without a network. The day in them is SOURCE_DATE_EPOCH's, or today.

Written for man(7) as groff and mandoc both take it. Of argparse it uses the private names that its own help uses.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 78
SECTION = 1
CLOSING = {  # of sekisho(1): what no verb's help says
    "ENVIRONMENT": (
        ("NO_COLOR, TERM=dumb", "No colours."),
        ("SEKISHO_TRACEBACK=1", "Where a defect of the program stopped it, show where."),
    ),
    "FILES": (
        ("/etc/sekisho/sekisho.toml", "The configuration of the running appliance, see sekisho.toml(5)."),
        ("/var/lib/sekisho", "Its state: baseline, incidents, packets of incidents."),
        ("/run/sekisho", "The sockets of its processes."),
        ("/usr/share/sekisho/rules", "Policies and work plans to begin with."),
        ("/usr/share/doc/sekisho", "Documents."),
    ),
}


def main(site: Path, output: Path) -> int:
    """Write all pages; says how many."""
    sys.path.insert(0, str(site.resolve()))
    from appliance import __version__
    from appliance.cli.parser import parser

    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    day = f"{datetime.fromtimestamp(epoch, UTC):%F}"
    pages = {f"{name}.{SECTION}": text for name, text in manual(parser(), __version__, day).items()}
    source = (site / "appliance/config/__init__.py").read_text(encoding="utf-8")  # read, not imported: that needs NumPy
    pages["sekisho.toml.5"] = configuration(ast.get_docstring(ast.parse(source)) or "", __version__, day)
    for name, text in pages.items():
        path = output / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(pages)} manual pages")
    return 0


def manual(top: argparse.ArgumentParser, version: str, day: str) -> dict[str, str]:
    """Name -> page in roff, the command's first."""
    does = {name: (parser, text) for name, parser, text in verbs(top)}
    others = [f"sekisho-{name}" for name in does]
    pages = {"sekisho": page(top, "guards factory and building automation networks", version, day, others)}
    for name, (parser, text) in does.items():
        pages[f"sekisho-{name}"] = page(parser, text, version, day, ["sekisho"])
    return pages


def page(parser: argparse.ArgumentParser, does: str, version: str, day: str, see: list[str]) -> str:
    """One page in roff."""
    name = parser.prog.replace(" ", "-")
    about, examples, codes = told(parser.epilog)
    below = verbs(parser)
    lines = [f'.TH "{plain(name.upper())}" "{SECTION}" "{day}" "sekisho {version}" "Sekisho"']
    lines += [".ad l"]
    lines += [".SH NAME", *wrapped(f"{plain(name)} \\- {plain(does)}"), ".SH SYNOPSIS", *synopsis(parser)]
    lines += [".SH DESCRIPTION", *paragraphs(parser.description or ""), *(["", *about] if about else [])]
    lines = [line or ".PP" for line in lines]
    if below and name == "sekisho":
        lines += [".SH COMMANDS", *entries((f"sekisho-{verb}({SECTION})", text) for verb, _, text in below)]
    elif below:
        lines.append(".SH COMMANDS")
        for _, verb, _ in below:
            lines += [f".SS {plain(verb.prog)}", *paragraphs(verb.description or ""), ".PP", *synopsis(verb)]
            lines += arguments(verb, short=True)
            more = own(verb, parser)
            lines += [".PP", *more] if more else []
    lines += [".SH OPTIONS", *arguments(parser)]
    if examples:
        lines += [".SH EXAMPLES", ".EX", *examples, ".EE"]
    if codes:
        lines += [".SH EXIT STATUS", *entries(codes)]
    if name == "sekisho":
        for title, rows in CLOSING.items():
            lines += [f".SH {title}", *entries(rows)]
    lines += [".SH SEE ALSO", *wrapped(", ".join(map(reference, sorted(see))))]
    return "\n".join(lines) + "\n"


def configuration(example: str, version: str, day: str) -> str:
    """sekisho.toml(5) from an example of all of it, TOML with comments, below a first paragraph."""
    lines = [f'.TH "SEKISHO.TOML" "5" "{day}" "sekisho {version}" "Sekisho"', ".ad l", ".SH NAME"]
    lines += ["sekisho.toml \\- configuration of the running appliance", ".SH SYNOPSIS", "/etc/sekisho/sekisho.toml"]
    lines += [
        ".SH DESCRIPTION",
        *wrapped("TOML, written by " + reference("sekisho-setup") + ". A key that is not known is refused."),
    ]
    lines += [*wrapped("Each key stands here with a value that it can have.")]
    for line in example.split("\n\n", 1)[1].splitlines():
        said, _, means = line.partition("#")
        if not said.strip():
            continue
        if said.startswith("["):
            lines += [f".SS {plain(said.strip())}", *wrapped(plain(means.strip()))]
        else:
            lines += [".TP", f"\\fB{plain(said.strip())}\\fR", *(wrapped(plain(means.strip())) or ["\\&"])]
    see = ", ".join(map(reference, ("sekisho", "sekisho-run", "sekisho-setup")))
    return "\n".join([*lines, ".SH SEE ALSO", *wrapped(see), *wrapped("/usr/share/doc/sekisho/cli.md")]) + "\n"


def reference(name: str) -> str:
    """Another page of ours, never hyphenated."""
    return f"\\%\\fB{plain(name)}\\fR({SECTION})"


def verbs(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser, str]]:
    """Name, parser and what it does in a line, of the verbs below a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return [(name, below, helps[name]) for name, below in action.choices.items()]
    return []


def told(epilog: str | None) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """What stands below the options: paragraphs, examples (escaped lines), exit codes with their meaning."""
    about: list[str] = []
    examples: list[str] = []
    codes: list[tuple[str, str]] = []
    for part in re.split(r"\n\s*\n", (epilog or "").strip("\n")):
        if re.match(r"examples?:\n", part):
            for line in part.splitlines()[1:]:
                examples += example(line.strip())
        elif said := re.match(r"exit codes(.*?): (.*)", part, flags=re.S):
            of = said[1].replace(" of ", "") + ": " if said[1] else ""
            codes += [(code, of + meaning) for code, meaning in re.findall(r"(\d+) (.*?)(?:, (?=\d)|$)", said[2])]
        elif part:
            about += [*([""] if about else []), *paragraphs(part)]
    return about, examples, codes


def own(verb: argparse.ArgumentParser, parent: argparse.ArgumentParser) -> list[str]:
    """What the help of a verb below another says and that one's does not."""
    about, examples, _ = told(verb.epilog)
    known = told(parent.epilog)
    new = [line for line in examples if line not in known[1]]
    lines = about if about != known[0] else []
    return [*(line or ".PP" for line in lines), *([".PP", ".EX", *new, ".EE"] if new else [])]


def example(line: str) -> list[str]:
    """A command, cut where a shell takes it as one."""
    if len(line) <= WIDTH - 8:
        return [plain(line)]
    pieces: list[str] = []
    for word in shlex.split(line, posix=False):
        if pieces and re.match(r"-\S+$|>$", pieces[-1]) and not word.startswith("-"):
            pieces[-1] += f" {word}"  # an option stays with its value
        else:
            pieces.append(word)
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) >= WIDTH - 10:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {piece}" if lines[-1] else piece
    return [plain(text) for text in lines]


def synopsis(parser: argparse.ArgumentParser) -> list[str]:
    """The usage: words of the command bold, what is to be put in italic."""
    form = argparse.HelpFormatter(parser.prog, width=10_000)
    form.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    usage = " ".join(form.format_help().split()).removeprefix(parser.prog)
    usage = re.sub(r"\{\S+\} \.\.\.", "COMMAND ...", usage)
    usage = re.sub(r"\[[^][]*\]|--[a-z-]+ [A-Z]", lambda m: m[0].replace(" ", "\2"), usage)  # not to be torn apart
    marked = re.sub(r"--?[a-z][a-z-]*|\b[A-Z][A-Z0-9.a-z]*\b", lambda m: f"\0{m[0]}\1", usage)
    text = re.sub("\0(\\\\-[^\1]*)\1", r"\\fB\1\\fR", plain(marked))
    text = re.sub("\0([^\1]*)\1", r"\\fI\1\\fR", text)
    whole = " ".join(f"\\%{word}" for word in text.split())  # never hyphenated
    return [line.replace("\2", "\\ ") for line in wrapped(f"\\fB{plain(parser.prog)}\\fR {whole}", WIDTH - 10)]


def arguments(parser: argparse.ArgumentParser, short: bool = False) -> list[str]:
    """What may follow the verb, each with its help; in short without `--help`."""
    form = argparse.HelpFormatter(parser.prog, width=10_000)
    lines: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help is argparse.SUPPRESS:
            continue
        if short and isinstance(action, argparse._HelpAction):
            continue
        value = "" if action.nargs == 0 else form._format_args(action, form._get_default_metavar_for_optional(action))
        if action.option_strings:
            head = ", ".join(f"\\fB{plain(name)}\\fR" for name in action.option_strings)
            head += f" \\fI{plain(value)}\\fR" if value else ""
        else:
            head = f"\\fI{plain(form._metavar_formatter(action, action.dest)(1)[0])}\\fR"
        said = form._expand_help(action) if action.help else ""
        said = f"{said} (needed)".strip() if action.required and action.option_strings else said
        lines += [".TP", head, *(wrapped(plain(said)) if said else ["\\&"])]
    return lines


def entries(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Terms with what they mean."""
    lines: list[str] = []
    for term, text in rows:
        lines += [".TP", f"\\fB{plain(term)}\\fR", *wrapped(plain(text))]
    return lines


def paragraphs(text: str) -> list[str]:
    """Escaped lines; an empty one between paragraphs."""
    parts = [wrapped(plain(" ".join(part.split()))) for part in re.split(r"\n\s*\n", text.strip())]
    return [line for n, part in enumerate(parts) for line in ([""] if n else []) + part]


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """Escaped text in lines that are not too long; none of them can be taken for a request."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [f"\\&{line}" if line[0] in ".'" else line for line in lines]


def plain(text: str) -> str:
    """Text that roff sets as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{text}" if text[:1] in (".", "'") else text


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
