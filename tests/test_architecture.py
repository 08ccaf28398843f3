"""Imports point one way, as ARCHITECTURE.md says."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "derain"
# Room -> rooms it imports, inside functions too. Exactly these: an arrow that nobody uses goes.
ALLOWED: dict[str, set[str]] = {
    "io": set(),
    "losses": set(),
    "memory": set(),
    "models": set(),
    "graph": set(),
    "tiles": set(),
    "scales": {"tiles"},
    "metrics": {"io"},
    "weights": {"io", "models"},
    "rain": {"io", "metrics"},
    "data": {"io", "rain"},
    "engines": {"io", "models", "weights"},
    "tile_budget": {"memory", "tiles", "weights"},
    "restore": {"engines", "io", "memory", "scales", "tile_budget", "tiles", "weights"},
    "video": {"io", "restore"},
    "batch": {"io", "restore", "video"},
    "scale": {"batch", "io", "memory", "restore", "weights"},
    "serve": {"batch", "io", "restore", "scales", "video", "weights"},
    "client": set(),
    "export": {"engines", "graph", "models", "weights"},
    "benchmark": {
        "batch", "engines", "export", "io", "models", "restore", "scales", "tile_budget", "tiles",
        "weights",
    },
    "training": {
        "data", "engines", "export", "io", "losses", "memory", "models", "rain", "weights",
    },
    "evaluation": {
        "data", "engines", "io", "metrics", "models", "restore", "tile_budget", "weights",
    },
    "downstream": {"engines", "evaluation", "io", "metrics", "rain"},
    "study": {"data", "evaluation", "io", "metrics", "training"},
    "cli": {
        "batch", "benchmark", "data", "downstream", "engines", "evaluation", "export", "io",
        "memory", "metrics", "models", "rain", "restore", "scale", "serve", "study", "training",
        "weights",
    },
    "__init__": {"restore", "weights"},
    "__main__": {"cli"},
}  # fmt: skip


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or ""]
            if node.module == "derain":
                modules = [f"derain.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        rooms |= {m.split(".")[1] for m in modules if m.startswith("derain.")}
    return rooms - {"__version__"}


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path):
    here = room(path)
    assert imported_rooms(path) - {here} <= ALLOWED[here]


@pytest.mark.parametrize("here", ALLOWED)
def test_every_allowed_import_is_used(here):
    used = set().union(*(imported_rooms(path) for path in FILES if room(path) == here))
    assert used - {here} == ALLOWED[here]


def test_rooms_import_each_other_in_no_circle():
    # static_order raises CycleError, which names the circle.
    order = list(TopologicalSorter(ALLOWED).static_order())
    assert set(order) == {room(path) for path in FILES}


def test_every_room_is_named_in_the_architecture():
    text = (SOURCE.parents[1] / "ARCHITECTURE.md").read_text()
    rooms = {room(path) for path in SOURCE.rglob("*.py")} - {"__main__"}
    missing = {r for r in rooms if f"`{r}" not in text}
    assert not missing


def test_only_the_command_line_prints_or_exits():
    for path in SOURCE.rglob("*.py"):
        if room(path) in ("cli", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.exit", "exit"), f"{path.name}: {called}"


def test_the_architecture_draws_the_same_arrows():
    text = (SOURCE.parents[1] / "ARCHITECTURE.md").read_text()
    drawn = dict(re.findall(r"^(\w+) +-> +(.+)$", text, re.MULTILINE))
    assert {here: set(rooms.split(", ")) for here, rooms in drawn.items()} == {
        here: rooms for here, rooms in ALLOWED.items() if rooms and not here.startswith("__")
    }
