"""The verbs of the command, as its parser has them."""

import argparse
from collections.abc import Iterator


def below(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The verbs directly below a parser."""
    return {name: p for a in of._actions if isinstance(a, argparse._SubParsersAction) for name, p in a.choices.items()}


def leaves(of: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and all below it."""
    yield of
    for one in below(of).values():
        yield from leaves(one)
