"""Size and complexity of Python files, counted from their syntax trees."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.demo.tree import read_text

COMPLEX_ABOVE = 10
"""A function is complex when its cyclomatic complexity is above this."""

BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.comprehension,
    ast.match_case,
    ast.Assert,
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Function:
    """A function or method: where it is, its lines from `def` to its end, its cyclomatic complexity."""

    file: str
    name: str
    line: int
    lines: int
    complexity: int


def measure_size(root: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The size audit's result. A file that cannot be parsed counts its lines, and no functions."""
    lines: dict[str, int] = {}
    functions: list[Function] = []
    unparsable: list[str] = []
    for file in files:
        text = read_text(root / file)
        lines[str(file)] = count_lines(text)
        try:
            functions += functions_of(str(file), ast.parse(text))
        except (SyntaxError, ValueError, RecursionError):
            unparsable.append(str(file))
    complex_ones = [function for function in functions if function.complexity > COMPLEX_ABOVE]
    return {
        "tool": "size",
        "files": len(files),
        "lines": sum(lines.values()),
        "longest_file_lines": max(lines.values(), default=0),
        "functions": len(functions),
        "longest_function_lines": max((function.lines for function in functions), default=0),
        "complex_functions": len(complex_ones),
        "unparsable_files": len(unparsable),
        "longest_file": max(lines, key=lambda file: lines[file], default=None),
        "most_complex": [_told(function) for function in sorted(functions, key=lambda f: -f.complexity)[:5]],
    }


def count_lines(text: str) -> int:
    """How many lines the text has; a last line without an end counts."""
    return text.count("\n") + (not text.endswith("\n") and text != "")


def functions_of(file: str, tree: ast.Module) -> list[Function]:
    """Every function and method, nested ones too, each on its own."""
    return [
        Function(file, node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1, complexity(node))
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    ]


def complexity(function: ast.AST) -> int:
    """The cyclomatic complexity (McCabe 1976): one, and one more for each place where the path may fork.

    Forks are `if`, `elif`, conditional expressions, loops, `except`, the `for` and `if` of comprehensions, `case`,
    `assert`, and each `and` or `or`. A function inside has its own count.
    """
    return 1 + sum(_forks(node) for node in _own_nodes(function))


def _forks(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return int(isinstance(node, BRANCHES))


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, FUNCTIONS):
            todo.extend(ast.iter_child_nodes(node))


def _told(function: Function) -> dict[str, Any]:
    return {"function": f"{function.file}:{function.line} {function.name}", "complexity": function.complexity}
