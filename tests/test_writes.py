"""No code writes to the result of `ravel` or `reshape`, which is a copy for some array layouts."""

import ast
from pathlib import Path

import pytest

import xent_cli

ROOT = Path(xent_cli.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
FLAT = {"ravel", "reshape", "flatten"}
# Functions and methods that write into their first array.
WRITES = {"copyto", "put", "place", "putmask", "put_along_axis", "fill", "sort", "partition", "itemset", "readinto"}
BY_FUNCTION = WRITES - {"sort", "partition"}


def name_of(function):
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def may_be_a_copy(node, names):
    """Whether writing to the value may write to a copy: the result of `ravel` or `reshape`, or a view of it."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Subscript | ast.Attribute | ast.Starred):
        return may_be_a_copy(node.value, names)
    if isinstance(node, ast.NamedExpr):
        return may_be_a_copy(node.value, names)
    if isinstance(node, ast.Call):
        function = node.func
        if name_of(function) in FLAT:
            return True
        # A method of such an array, such as `view`. Reductions and the like return a new array, but counting them does
        # no harm.
        return isinstance(function, ast.Attribute) and may_be_a_copy(function.value, names)
    return False


def targets(node):
    if isinstance(node, ast.Tuple | ast.List):
        for part in node.elts:
            yield from targets(part)
    else:
        yield node


def writes_through_copies(function):
    """Lines of a function that write through what may be a copy."""
    names = set()
    nodes = sorted((n for n in ast.walk(function) if hasattr(n, "lineno")), key=lambda n: n.lineno)
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            given = node.targets if isinstance(node, ast.Assign) else [node.target]
            flat = may_be_a_copy(node.value, names)
            names |= {t.id for t in given if flat and isinstance(t, ast.Name)}
    for node in nodes:
        written = []
        if isinstance(node, ast.Assign):
            written = [t for given in node.targets for t in targets(given) if isinstance(t, ast.Subscript)]
        elif isinstance(node, ast.AugAssign):
            written = [node.target]
        elif isinstance(node, ast.Call):
            written = [word.value for word in node.keywords if word.arg == "out"]
            if name_of(node.func) in BY_FUNCTION | {"at"}:
                written += node.args
            if isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
                written.append(node.func.value)
        yield from (node.lineno for target in written if may_be_a_copy(target, names))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_is_written_through_a_copy(path):
    found = writes_through_copies(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert list(found) == [], "write through xent_cli.core.scratch.flat, which refuses to copy"


@pytest.mark.parametrize(
    "written",
    [
        "e.ravel()[at] = 0",
        "e.reshape(-1)[at] += 1",
        "np.ravel(e)[at], other = 1, 2",
        "np.add(a, b, out=e.reshape(n, k))",
        "np.copyto(e.ravel(), 0)",
        "e.T.ravel().fill(0)",
        "flat = e.reshape(-1)\nflat[at] = 0",
        "raw = e.reshape(-1).view(np.uint8).data\nfill(stream, raw)",
        "raw = e.reshape(-1)\nraw += 1",
        "np.add.at(e.ravel(), at, 1)",
        "stream.readinto(e.reshape(-1).data)",
    ],
)
def test_each_way_to_write_through_a_copy_is_found(written):
    assert list(writes_through_copies(ast.parse(written)))


@pytest.mark.parametrize(
    "read", ["x = e.ravel()[at]", "flat(e)[at] = e.reshape(-1)[at]", "np.add(e.ravel(), 1, out=e)"]
)
def test_reading_a_copy_is_allowed(read):
    assert not list(writes_through_copies(ast.parse(read)))
