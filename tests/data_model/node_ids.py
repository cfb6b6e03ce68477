"""Whether a test exists that a pytest node id names, found in the source and without running anything."""

import ast
from functools import cache

from tests.data_model.model import ROOT

BY_FIXED_PARAMETERS = ("tests/db/test_checks.py",)
"""Files whose parameters are computed: the tables with a CHECK."""


@cache
def _tree(path: str) -> ast.Module | None:
    file = ROOT / path
    return ast.parse(file.read_text()) if file.is_file() else None


@cache
def _functions(path: str) -> frozenset[str]:
    tree = _tree(path)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds)) if tree else frozenset()


@cache
def _texts(path: str) -> frozenset[str]:
    tree = _tree(path)
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)) if tree else ()
    return frozenset(value for value in constants if isinstance(value, str))


def fault_of(node_id: str, computed: frozenset[str]) -> str | None:
    """Why there is no such test; None when there is. `computed` are parameters that no source spells."""
    path, _, rest = node_id.partition("::")
    function, _, parameter = rest.partition("[")
    if not (ROOT / path).is_file():
        return f"there is no file {path}"
    if not function.startswith("test_") or function not in _functions(path):
        return f"{path} has no test {function}"
    if parameter and parameter.removesuffix("]") not in _texts(path) | computed:
        return f"{path}::{function} has no parameter {parameter.removesuffix(']')}"
    return None
