"""The rules of the house, read from the source with `ast`: which room may import what, and where side effects may live.

`violations(tree)` returns one sentence per broken rule. The first test holds the package to it; the others break each
rule in a small tree of their own, so that a check which no longer checks anything is noticed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import daskgmm

PACKAGE = Path(daskgmm.__file__).parent

# Imports run downwards: a room may import from the rooms below it only. Rooms of one floor are neighbours and may
# import each other as long as their files form no cycle.
FLOORS = (
    {"cli"},
    {"planning"},
    {"view", "selection"},
    {"estimator"},
    {"drift", "statistics", "streaming", "updating"},
    {"fitted", "inputs", "kept_distribution", "notebook", "writing"},
    {"fitting"},
    {"settings"},
    {"start"},
    {"engine", "kernels", "storage", "history", "progress"},
    {"mixture"},
    {"errors"},
)
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# library -> the places that may import it
ONLY_IN = {
    "dask": ("engine/", "storage/dataset.py"),
    "distributed": ("engine/",),
    "zarr": ("storage/",),
}
# library -> the rooms that must not import it
NEVER_IN = {
    "sklearn": ("mixture/", "kernels/", "engine/"),
    "logging": ("mixture/",),
}
# Not among the core dependencies: imported inside the function that uses it, or for type checkers alone.
OPTIONAL = {"numba", "matplotlib", "jinja2", "rich", "s3fs", "gcsfs", "zarrs", "PIL", "tqdm", "pandas", "yaml"}
VAGUE_NAMES = {"core", "util", "utils", "helper", "helpers", "base", "common", "misc"}
MAX_LINES = 300


@dataclass(frozen=True, slots=True)
class Module:
    path: str
    """Path below the package, with forward slashes."""
    source: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"daskgmm/{self.path}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        return self.path.split("/", 1)[0].removesuffix(".py")


def read(package: Path) -> list[Module]:
    sources = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    return [Module(path, source, ast.parse(source)) for path, source in sources.items()]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def nodes(tree: ast.AST, *, typing: bool, functions: bool = True) -> Iterator[ast.AST]:
    """All nodes below `tree`; those for type checkers alone and those that run inside functions only if asked for."""
    for child in ast.iter_child_nodes(tree):
        if is_type_checking(child) and not typing:
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not functions:
            continue
        yield child
        yield from nodes(child, typing=typing, functions=functions)


def imports(module: Module, *, typing: bool = True, functions: bool = True) -> set[str]:
    """Dotted names that the module imports; `from a import b` counts as both a and a.b."""
    found = set()
    package = module.name.split(".") if module.path.endswith("__init__.py") else module.name.split(".")[:-1]
    for node in nodes(module.tree, typing=typing, functions=functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return found


def libraries(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def wrong_directions(module: Module) -> Iterator[str]:
    if module.path == "__init__.py":  # the front door re-exports from every floor
        return
    if module.room not in FLOOR:
        yield f"{module.path}: the room {module.room!r} has no floor; give it one in FLOORS"
        return
    for name in sorted(imports(module)):
        parts = name.split(".")
        if parts[0] != "daskgmm" or len(parts) < 2 or parts[1] not in FLOOR or parts[1] == module.room:
            continue
        if FLOOR[parts[1]] < FLOOR[module.room]:
            yield f"{module.path}: imports {name}, which is upstairs"


def cycles(modules: list[Module]) -> Iterator[str]:
    names = {module.name for module in modules}
    # The front door imports nothing until it is asked, and every file may ask it for the version: no edge.
    edges = {module.name: (imports(module, typing=False) & names) - {module.name, "daskgmm"} for module in modules}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> Iterator[str]:
        if name in trail:
            yield "import cycle: " + " -> ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for target in sorted(edges[name]):
                yield from walk(target, (*trail, name))
            done.add(name)

    for name in sorted(names):
        yield from walk(name, ())


def misplaced_libraries(module: Module) -> Iterator[str]:
    used = libraries(imports(module, typing=False))
    for library, places in ONLY_IN.items():
        if library in used and not module.path.startswith(places):
            yield f"{module.path}: imports {library}, which belongs in {' and '.join(places)}"
    for library, places in NEVER_IN.items():
        if library in used and module.path.startswith(places):
            yield f"{module.path}: imports {library}, which {module.room}/ must not know"
    for library in sorted(OPTIONAL & libraries(imports(module, typing=False, functions=False))):
        yield f"{module.path}: imports the optional {library} at module level; import it where it is used"


def misplaced_calls(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        computes = called.split(".")[-1] in {"compute", "persist"} and "." in called
        if computes and not module.path.startswith("engine/"):
            yield f"{module.path}:{node.lineno}: calls {called}(); computing belongs in engine/"
        if called in {"print", "sys.exit", "exit", "quit", "os._exit"} and not module.path.startswith("cli/"):
            yield f"{module.path}:{node.lineno}: calls {called}(); printing and exiting belong in cli/"


def bad_files(module: Module) -> Iterator[str]:
    vague = VAGUE_NAMES & set(module.path.removesuffix(".py").split("/"))
    if vague:
        yield f"{module.path}: the name {vague.pop()!r} does not say what is in it"
    lines = module.source.count("\n")
    if lines > MAX_LINES:
        yield f"{module.path}: has {lines} lines, more than {MAX_LINES}"


def violations(package: Path) -> list[str]:
    modules = read(package)
    found = list(cycles(modules))
    for module in modules:
        for check in (wrong_directions, misplaced_libraries, misplaced_calls, bad_files):
            found += check(module)
    return found


def test_the_package_keeps_its_rules():
    assert violations(PACKAGE) == []


def test_the_package_was_read():
    assert {"daskgmm", "daskgmm.errors", "daskgmm.mixture.em"} <= {module.name for module in read(PACKAGE)}


def build(root: Path, **files: str) -> Path:
    for name, source in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


def test_a_tree_that_keeps_the_rules_is_clean(tmp_path):
    tree = build(
        tmp_path,
        errors="class Problem(Exception): ...",
        mixture__em="from daskgmm.errors import Problem",
        engine__sweep="import dask\nfrom daskgmm.mixture import em\ndask.compute(1)",
        storage__dataset="import dask.array\nimport zarr",
        estimator="import sklearn.base\nfrom daskgmm.engine.sweep import x",
        kernels__fused="def e_step():\n    import numba",
        cli__demo="import sys\nprint(1)\nsys.exit(0)",
    )
    assert violations(tree) == []


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"mixture__em": "from daskgmm.engine import sweep"},
            "mixture/em.py: imports daskgmm.engine, which is upstairs",
        ),
        ({"mixture__em": "from ..start import first"}, "imports daskgmm.start, which is upstairs"),
        ({"errors": "import daskgmm.mixture.em"}, "errors.py: imports daskgmm.mixture.em, which is upstairs"),
        ({"fitting": "def fit():\n    from daskgmm import estimator"}, "imports daskgmm.estimator, which is upstairs"),
        ({"attic": ""}, "attic.py: the room 'attic' has no floor"),
        (
            {"engine__rows": "import daskgmm.engine.sweep", "engine__sweep": "from daskgmm.engine.rows import x"},
            "import cycle: daskgmm.engine.rows -> daskgmm.engine.sweep -> daskgmm.engine.rows",
        ),
        ({"estimator": "import dask.array as da"}, "estimator.py: imports dask, which belongs in engine/"),
        ({"storage__model_file": "from dask import delayed"}, "storage/model_file.py: imports dask"),
        ({"storage__dataset": "import distributed"}, "storage/dataset.py: imports distributed"),
        ({"engine__rows": "def f():\n    import zarr"}, "engine/rows.py: imports zarr, which belongs in storage/"),
        ({"mixture__em": "from sklearn import mixture"}, "imports sklearn, which mixture/ must not know"),
        ({"kernels__blas": "import sklearn"}, "imports sklearn, which kernels/ must not know"),
        ({"engine__sample": "import sklearn"}, "imports sklearn, which engine/ must not know"),
        ({"mixture__em": "import logging"}, "imports logging, which mixture/ must not know"),
        ({"kernels__fused": "import numba"}, "imports the optional numba at module level"),
        ({"kernels__fused": "try:\n    from numba import njit\nexcept ImportError:\n    pass"}, "optional numba"),
        ({"fitting": "def fit(x):\n    return x.sum().compute()"}, "fitting.py:2: calls x.sum().compute()"),
        ({"storage__dataset": "import dask\ndask.compute(1)"}, "calls dask.compute(); computing belongs in engine/"),
        ({"start": "def f(x):\n    x.persist()"}, "calls x.persist(); computing belongs in engine/"),
        ({"estimator": "print('hello')"}, "estimator.py:1: calls print()"),
        ({"engine__cluster": "import sys\nsys.exit(1)"}, "engine/cluster.py:2: calls sys.exit()"),
        ({"mixture__utils": ""}, "mixture/utils.py: the name 'utils' does not say what is in it"),
        ({"storage__common__names": ""}, "the name 'common' does not say what is in it"),
        ({"start": "x = 1\n" * 301}, "start.py: has 301 lines, more than 300"),
    ],
)
def test_a_broken_rule_is_reported(tmp_path, files, complaint):
    assert any(complaint in sentence for sentence in violations(build(tmp_path, **files)))


def test_imports_for_type_checkers_alone_load_nothing_and_are_free(tmp_path):
    tree = build(
        tmp_path,
        estimator="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dask.array",
        engine__rows="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import daskgmm.engine.sweep",
        engine__sweep="from daskgmm.engine.rows import x",
    )
    assert violations(tree) == []
