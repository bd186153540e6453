"""Plain YAML scalars that mean different things to different readers."""

from __future__ import annotations

import re

import yaml

from appliance.errors import DocumentError

# YAML 1.1 (2005), types bool, null, int and float; YAML 1.2 reads the same characters as text or as other numbers
_WORDS = re.compile(r"(?i:y|yes|no|n|on|off|null|~)|True|TRUE|False|FALSE")
_NUMBERS = {
    re.compile(r"[-+]?0[0-9]+"): "a leading zero makes it octal for some readers; leave the zero out",
    re.compile(r"[-+]?0[ob][0-7_]+"): "not every reader knows this number; write it with the digits 0 to 9, or as 0x..",
    re.compile(r"[-+]?[0-9]+_[0-9_]+"): "not every reader leaves the _ out; write the digits only",
    re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"): "for some readers it is a number to the base of 60; quote it",
    re.compile(r"[-+]?[0-9][0-9.]*[eE][-+]?[0-9]+"): "for some readers it is a number with an exponent; quote it",
}
_TIMES = frozenset({"when"})  # keys below which hours and minutes are meant


def refuse_ambiguous(name: str, data: bytes) -> None:
    """Refuse values (not keys) that readers disagree about. Raises DocumentError; `data` is a document that was read before."""
    root = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, times = stack.pop()
        if isinstance(node, yaml.MappingNode):
            stack += [(value, times or key.value in _TIMES) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            stack += [(item, times) for item in node.value]
        elif node.style is None:
            problem = _problem(node.value, times)
            if problem:
                raise DocumentError(f"{name}, line {node.start_mark.line + 1}: {node.value}: {problem}")


def _problem(text: str, times: bool) -> str:
    if not text:
        return "nothing stands behind the colon or the dash; write a value, or take the line out"
    if _WORDS.fullmatch(text):
        return 'for some readers it is true, false or nothing; quote it if it is a word, else write "true" or "false"'
    if times and re.fullmatch(r"\d\d:\d\d", text):
        return ""
    return next((what for pattern, what in _NUMBERS.items() if pattern.fullmatch(text)), "")
