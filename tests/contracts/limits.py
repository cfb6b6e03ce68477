"""The limits of inputs, read off the places of app/domain and app/services that check them.

A check names the field that it is about: `required_text("title", …, NAME_MAX)`, `TEN_POINT.check("complexity", …)`,
`bounded_list("fallbacks", …, FALLBACKS_MAX)`. Whatever it says of the field, the field's description has to say too.
"""

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from app.domain.rules import ITEMS_MAX, TEXT_MAX, Range
from app.services.metrics import RULES

ROOT = Path(__file__).parents[2]
ROOMS = ("app/domain", "app/services")
TEXT_CHECKS = {"required_text": TEXT_MAX, "clean_text": TEXT_MAX}
LIST_CHECKS = {"bounded_list": ITEMS_MAX}
"""Functions of (field, value, longest), with what holds when `longest` is left out."""


def limits() -> Mapping[str, set[str]]:
    """Of each field, by its name in GraphQL: how a description may name a limit of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("*.py")):
            module = importlib.import_module(".".join((*room.split("/"), path.stem)))
            for field, words in _checks(ast.parse(path.read_text()), module):
                found[field].add(words)
    for field, range_ in RULES.values():
        found[field].add(_range(range_))
    return found


def _checks(tree: ast.AST, module: ModuleType) -> Iterator[tuple[str, str]]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args):
        field = _field(call.args[0])
        words = _words(call, module) if field else None
        if field and words:
            yield field, words


def _field(argument: ast.expr) -> str | None:
    """The last name of the path that a literal ends with."""
    if isinstance(argument, ast.JoinedStr):
        argument = argument.values[-1]
    if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
        return None
    ending = re.search(r"\w+$", argument.value)
    return ending[0] if ending else None


def _words(call: ast.Call, module: ModuleType) -> str | None:
    match call.func:
        case ast.Name(name) if name in TEXT_CHECKS:
            return f"{_limit(call, module, TEXT_CHECKS[name]):,} characters"
        case ast.Name(name) if name in LIST_CHECKS:
            return f"{_limit(call, module, LIST_CHECKS[name]):,}"
        case ast.Attribute(ast.Name(name), "check") if isinstance(getattr(module, name, None), Range):
            return _range(getattr(module, name))
    return None


def _limit(call: ast.Call, module: ModuleType, default: int) -> int:
    match call.args[2:]:
        case [ast.Constant(int(value))]:
            return value
        case [ast.Name(name)]:
            return int(getattr(module, name))
    return default


def _range(limits: Range) -> str:
    """The lower end alone where the upper is only what the column holds."""
    return str(limits) if limits.high is not None and limits.high <= 1000 else f"{limits.low} or more"
