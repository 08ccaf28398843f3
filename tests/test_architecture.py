"""Imports point one way, as ARCHITECTURE.md says."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "derain"
# Room -> rooms it may import. What a room may not import it cannot come to depend on by accident.
BASE = {"io", "weights", "models", "losses", "metrics", "tiles", "engines", "data"}
ALLOWED = {
    "io": set(),
    "losses": set(),
    "tiles": set(),
    "scales": {"tiles"},
    "models": set(),
    "graph": set(),
    "memory": set(),
    "metrics": {"io"},
    "rain": {"io", "metrics"},
    "engines": {"weights", "models"},
    "weights": {"models", "io"},
    "data": {"rain", "io", "metrics"},
    "restore": {"engines", "io", "memory", "scales", "tiles", "weights"},
    "batch": {"restore", "io"},
    "export": {"graph", "engines", "models", "weights"},
    "benchmark": BASE | {"export", "restore"},
    "training": BASE | {"rain", "export", "memory"},
    "evaluation": BASE | {"restore"},
    "__init__": {"restore", "weights"},
    "__main__": {"cli"},
}


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


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.name))
def test_imports_point_one_way(path):
    here = room(path)
    if here != "cli":
        assert imported_rooms(path) - {here} <= ALLOWED[here]


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
