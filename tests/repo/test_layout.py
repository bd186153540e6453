"""The rooms of the package are those of the map in its docstring, and nothing grows without bound."""

import ast
import re
from pathlib import Path

import pytest

import appliance
from tests.repo.tree import ROOT, oversize, setup_cfg, sources, texts

# Modules that are no room: they hold no data flow of their own.
DOORS = {"__init__", "__main__"}


def rooms_in_map() -> list[str]:
    return re.findall(r"^    (\w+) {2,}\S", appliance.__doc__ or "", flags=re.M)


def rooms_on_disk() -> set[str]:
    names = {path.relative_to(ROOT / "appliance").parts[0].removesuffix(".py") for path in sources("appliance")}
    return names - DOORS


def layers() -> list[str]:
    """Rooms as the import contract orders them, top to bottom; those in brackets only where they exist."""
    rows = setup_cfg()["importlinter:contract:rooms"]["layers"].split()
    names = [(row.strip("()"), row.startswith("(")) for row in rows if row != "|"]
    return [name for name, optional in names if not optional or name in rooms_on_disk()]


def test_every_room_is_on_the_map_and_every_room_of_the_map_exists() -> None:
    assert len(rooms_in_map()) > 8
    assert set(rooms_in_map()) == rooms_on_disk()


def test_map_and_import_contract_agree_on_the_order() -> None:
    assert rooms_in_map() == layers()[::-1]


def test_every_package_says_what_it_is() -> None:
    folders = {path.parent for path in sources("appliance")}
    assert folders
    silent = []
    for folder in folders:
        door = folder / "__init__.py"
        if not door.exists() or not ast.get_docstring(ast.parse(door.read_text(encoding="utf-8"))):
            silent.append(str(folder.relative_to(ROOT)))
    assert silent == []


HOST = ROOT / "appliance" / "host"


@pytest.mark.parametrize(
    "room", [HOST, *(HOST / room for room in ["capture", "sensor", "keeper", "enforcer", "reporter", "upkeep"])]
)
def test_a_room_of_the_host_has_a_map_that_names_every_module_and_none_that_is_gone(room: Path) -> None:
    door = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = set(re.findall(r"\b[a-z_]+\b", door))
    modules = {path.stem for path in sources("appliance") if path.parent == room} - DOORS
    assert modules
    assert modules - named == set()
    spoken = {word for word in named if "_" in word}  # a word with a line in it can only be a module
    assert spoken - modules == set()


def test_nothing_is_twice_as_large_as_the_house_likes() -> None:
    assert oversize(2.0) == []


def test_no_mark_of_unfinished_work() -> None:
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
    own = {path: text for path, text in texts().items() if path.suffix not in {".txt", ".csv"}}
    marked = [
        f"{p.relative_to(ROOT)}:{n}" for p, t in own.items() for n, line in enumerate(t.splitlines(), 1) if mark.search(line)
    ]
    assert marked == []


def test_nothing_is_unpickled() -> None:
    loaders = re.compile(r"^\s*(?:import|from)\s+(?:pickle|shelve|marshal|dill|cloudpickle)\b|allow_pickle\s*=\s*Tru" + "e", re.M)
    assert [str(p.relative_to(ROOT)) for p, t in sources("appliance", "tests").items() if loaders.search(t)] == []
