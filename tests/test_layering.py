"""errors <- core <- {readers | engines | writers | reports} <- cli: imports point down, siblings never meet."""

import ast
import graphlib
import sys
from collections import Counter
from pathlib import Path

import pytest

import xent_cli

ROOT = Path(xent_cli.__file__).parent
FAMILIES = {"readers", "engines", "writers", "reports"}
LOWEST = {"errors", "extras", "temporary_files"}
BELOW = {name: set() for name in LOWEST} | {"core": {"errors"}} | {name: {*LOWEST, "core"} for name in FAMILIES}
# Modules that may import slow packages at import time; all other modules import them inside functions.
SLOW_PACKAGES = {
    "click": {"cli"},
    "pyarrow": {"readers", "writers"},
    "rich": {"writers", "reports"},
    "pandas": {"writers", "reports"},
    "jinja2": {"reports"},
    "matplotlib": {"reports"},
    "dask": {"engines"},
    "ray": {"engines"},
}
# Folders of a package: which folders each may import besides its own modules and those directly in the package. The
# lowest folders come first.
FOLDERS = {
    "core/labels": set(),
    "core/intervals": set(),
    "core/kernel": {"labels"},
    "core/checks": {"labels", "kernel"},
    "core/totals": {"labels", "kernel", "intervals"},
    "core/statistics": {"totals", "intervals"},
    "core/confidence": {"labels", "kernel", "checks", "totals", "intervals"},
    "core/verify": {"labels", "checks", "totals"},
    "core/inspect": {"labels", "checks", "totals"},
    "core/python_api": {"labels", "kernel", "totals", "confidence"},
    "readers/foreign_formats": set(),
    "readers/storage": {"foreign_formats"},
    "readers/columns": {"storage"},
    "readers/tables": {"storage", "columns"},
    "readers/text": {"storage", "columns", "tables"},
    "readers/arrays": {"storage", "foreign_formats", "columns", "tables"},
    "readers/language_models": {"storage", "columns", "tables", "text", "arrays"},
    "readers/columnar": {"storage", "columns", "tables", "arrays"},
    "readers/pair": {"storage", "columns", "tables", "text", "arrays", "language_models", "columnar"},
    "readers/saved": {"storage", "text", "arrays", "language_models", "columnar"},
    "reports/summary": set(),
    "reports/agreement": set(),
    "reports/calibration": set(),
    "reports/comparison": set(),
    "reports/inspection": set(),
    "cli/display": set(),
    "cli/runs": {"display"},
    "cli/commands": {"display", "runs"},
}
MOST_MODULES, MOST_LINES = 20, 300
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports(node, at_import=True):
    """Return the names of imported modules, and whether they are imported at import time of the module."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from ((name, False) for name, _ in imports(child, False))
        elif isinstance(child, ast.Import):
            yield from ((alias.name, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are written in full"
            yield from ((f"{child.module}.{alias.name}", at_import) for alias in child.names)
        else:
            yield from imports(child, at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down_and_slow_ones_wait(path):
    first = path.parts[0].removesuffix(".py")
    layer = first if len(path.parts) > 1 or first in LOWEST else "top"
    for name, at_import in imports(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        package, inner, *_ = [*name.split("."), ""]
        if package == "xent_cli" and layer in BELOW:
            assert inner in BELOW[layer] | {layer}, f"{layer} imports {name}"
        if package == "xent_cli" and path.name != "__main__.py":
            assert layer == "cli" or inner != "cli", f"{layer} imports {name}"
        if layer in {"core", *LOWEST}:
            frames = {"pandas"} if path.parts[:2] == ("core", "python_api") and not at_import else set()
            assert package in {"xent_cli", "numpy", *sys.stdlib_module_names, *frames}, f"{layer} imports {name}"
        if package in SLOW_PACKAGES and at_import:
            assert layer in SLOW_PACKAGES[package], f"{layer} imports {name} before it is needed"
            assert layer == "cli" or path.name not in {"__init__.py", "interface.py"}, f"{path} imports {name}"
        if package == "click":
            assert layer == "cli", f"{layer} imports {name}"


def test_every_package_is_a_layer():
    assert {path.parts[0] for path in MODULES if len(path.parts) > 1} <= {"core", "cli"} | FAMILIES


def module_name(path):
    return ".".join(("xent_cli", *path.with_suffix("").parts)).removesuffix(".__init__")


def imported_modules(path):
    """Return the names of our own modules that a module imports, including those only for types."""
    names = {module_name(other) for other in MODULES}
    for name, _ in imports(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        found = name if name in names else name.rpartition(".")[0]
        if found in names and found != module_name(path):
            yield found


def test_no_module_imports_itself_by_way_of_others():
    graph = {module_name(path): set(imported_modules(path)) for path in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", [path for path in MODULES if len(path.parts) > 2], ids=str)
def test_folders_import_only_lower_ones(path):
    family, folder, *_ = path.parts
    for name in imported_modules(path):
        package = name.split(".")
        if len(package) > 3 and package[1] == family:
            assert package[2] in FOLDERS[f"{family}/{folder}"] | {folder}, f"{family}/{folder} imports {name}"


def test_every_folder_has_a_rule_and_none_is_lower_than_itself():
    folders = {"/".join(path.parts[:2]) for path in MODULES if len(path.parts) > 2}
    assert folders == set(FOLDERS)
    for family in {name.split("/")[0] for name in FOLDERS}:
        order = {name.split("/")[1]: allowed for name, allowed in FOLDERS.items() if name.startswith(family + "/")}
        graphlib.TopologicalSorter(order).prepare()


def test_folders_and_files_are_small_enough_to_read():
    folders = Counter(path.parent for path in MODULES)
    assert {str(folder): size for folder, size in folders.items() if size > MOST_MODULES} == {}
    lengths = {str(path): (ROOT / path).read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_nothing_below_cli_reads_the_environment():
    below = [path for path in MODULES if path.parts[0].removesuffix(".py") in BELOW]
    readers = {
        str(path)
        for path in below
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "getenvb")
    }
    assert readers == set()
