"""errors <- core <- {readers | engines | writers | reports} <- cli: imports point down, siblings never meet."""

import ast
import sys
from pathlib import Path

import pytest

import xent_cli

ROOT = Path(xent_cli.__file__).parent
FAMILIES = {"readers", "engines", "writers", "reports"}
BELOW = {"errors": set(), "core": {"errors"}} | {family: {"errors", "core"} for family in FAMILIES}
# Where a module may import what is slow to import as it is itself imported; anywhere else it waits for a call.
AT_HOME = {
    "click": {"cli"},
    "pyarrow": {"readers", "writers"},
    "rich": {"writers", "reports"},
    "pandas": {"writers", "reports"},
    "jinja2": {"reports"},
    "matplotlib": {"reports"},
    "dask": {"engines"},
    "ray": {"engines"},
}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports(node, at_import=True):
    """Names of imported modules, and whether they are imported with the module that names them."""
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
    layer = path.parts[0].removesuffix(".py") if len(path.parts) > 1 or path.name == "errors.py" else "top"
    for name, at_import in imports(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        package, inner, *_ = [*name.split("."), ""]
        if package == "xent_cli" and layer in BELOW:
            assert inner in BELOW[layer] | {layer}, f"{layer} imports {name}"
        if package == "xent_cli" and path.name != "__main__.py":
            assert layer == "cli" or inner != "cli", f"{layer} imports {name}"
        if layer in {"core", "errors"}:
            assert package in {"xent_cli", "numpy", *sys.stdlib_module_names}, f"{layer} imports {name}"
        if package in AT_HOME and at_import:
            assert layer in AT_HOME[package], f"{layer} imports {name} before it is needed"
            assert layer == "cli" or path.name not in {"__init__.py", "interface.py"}, f"{path} imports {name}"
        if package == "click":
            assert layer == "cli", f"{layer} imports {name}"


def test_every_layer_is_one_that_has_a_place():
    assert {path.parts[0] for path in MODULES if len(path.parts) > 1} <= {"core", "cli"} | FAMILIES
