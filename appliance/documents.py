"""Documents that people write: YAML read strictly, every value with the line it stands in.

Only what a plain configuration needs: mappings, lists and scalars. No tags, no anchors and aliases, no second document, no key
twice. **A scalar has no type of its own**: it is text until the reader asks for a number, a yes or no, or a choice, so that
`02:00` is a time where a time is wanted, and neither `no` nor `1e3` ever turns into something else. Reading touches no file;
`name` is only what errors call the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import yaml

from appliance.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 1 << 18
MAX_DEPTH = 16
MAX_NODES = 50_000
MAX_SCALAR = 4_000  # characters


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it stands: `content` is text, a list of values, or a mapping of text to values.

    name, line   the document, and the 1-based line the value begins in
    label        what the value is called in errors ("plans[0].when")
    """

    name: str
    line: int
    label: str
    content: str | list[Value] | dict[str, Value]

    def wrong(self, what: str) -> DocumentError:
        """An error that names file, line and value; `what` says what is wrong and how to mend it."""
        return DocumentError(f"{self.name}, line {self.line}: {self.label}: {what}")

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Value]:
        """A mapping with these keys and no other. Raises DocumentError."""
        found = self.mapping()
        known = [*required, *optional]
        for key, value in found.items():
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                raise value.wrong(f"there is no such key here; {hint}")
        missing = [key for key in required if key not in found]
        if missing:
            raise self.wrong(f"{missing[0]!r} is missing; add it")
        return found

    def mapping(self) -> dict[str, Value]:
        """A mapping with any keys. Raises DocumentError."""
        if not isinstance(self.content, dict):
            raise self.wrong("write key: value lines here")
        return self.content

    def items(self, most: int, least: int = 1) -> list[Value]:
        """A list of `least` to `most` values. Raises DocumentError."""
        if not isinstance(self.content, list):
            raise self.wrong("write a list here: [a, b], or one line each beginning with a dash")
        if not least <= len(self.content) <= most:
            raise self.wrong(f"has {len(self.content)} entries; write {least} to {most}")
        return self.content

    def text(self, most: int = 200, least: int = 1) -> str:
        """Text of `least` to `most` characters that can be shown. Raises DocumentError."""
        if not isinstance(self.content, str):
            raise self.wrong("write one text here")
        text = self.content.strip()
        if not least <= len(text) <= most:
            raise self.wrong(f"is {len(text)} characters long; write {least} to {most}")
        if not text.isprintable():
            raise self.wrong("holds characters that cannot be shown; leave them out")
        return text

    def choice(self, words: Sequence[str]) -> str:
        """One of the words. Raises DocumentError."""
        text = self.text()
        if text not in words:
            near = get_close_matches(text, words, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(words)}"
            raise self.wrong(f"{text!r} is not known here; {hint}")
        return text

    def whole(self, least: int, most: int) -> int:
        """A whole number between two limits. Raises DocumentError."""
        text = self.text()
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(text) <= most):
            raise self.wrong(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    def flag(self) -> bool:
        """True or false, in just these words. Raises DocumentError."""
        return self.choice(("true", "false")) == "true"


def read_document(name: str, data: bytes) -> Value:
    """Read one document. Raises DocumentError with file, line and fix; never anything else."""
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{name}: {len(data):,} bytes; a document has at most {MAX_BYTES:,}, split it")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DocumentError(f"{name}, line {line}: not UTF-8; save it as UTF-8 text") from error
    try:
        _refuse_references(name, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _syntax(name, error) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise DocumentError(f"{name}: nested too deeply; a document has at most {MAX_DEPTH} levels") from error
    if root is None:
        raise DocumentError(f"{name}: nothing is in it; begin with: version: 1")
    return _value(name, "document", root, 0)


def _refuse_references(name: str, text: str) -> None:
    """Refuse what makes a small document large or changes what a value is, before a tree is built from it."""
    depth = count = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise DocumentError(f"{name}, line {line}: references (& and *) are not read; write the value out")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise DocumentError(f"{name}, line {line}: tags (!) are not read; leave it out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise DocumentError(f"{name}, line {line}: nested too deeply; a document has at most {MAX_DEPTH} levels")
        if count > MAX_NODES:
            raise DocumentError(f"{name}, line {line}: more than {MAX_NODES:,} values; split the document")


def _syntax(name: str, error: yaml.YAMLError) -> DocumentError:
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML").split())
    where = f"{name}, line {mark.line + 1}" if mark is not None else name
    return DocumentError(f"{where}: {problem[:120]}; check indentation, quotes and colons there")


def _value(name: str, label: str, node: yaml.Node, depth: int) -> Value:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Value] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise DocumentError(f"{name}, line {key.start_mark.line + 1}: {label}: a key is plain text; write key: value")
            if key.value in found:
                raise DocumentError(
                    f"{name}, line {key.start_mark.line + 1}: {label}: {key.value!r} is there twice "
                    f"(line {found[key.value].line}); keep one of them"
                )
            inner = key.value if label == "document" else f"{label}.{key.value}"
            found[key.value] = _value(name, inner, value, depth + 1)
        return Value(name, line, label, found)
    if isinstance(node, yaml.SequenceNode):
        return Value(name, line, label, [_value(name, f"{label}[{i}]", item, depth + 1) for i, item in enumerate(node.value)])
    if len(node.value) > MAX_SCALAR:
        raise DocumentError(f"{name}, line {line}: {label}: {len(node.value):,} characters; write at most {MAX_SCALAR:,}")
    return Value(name, line, label, str(node.value))
