"""Small trees with planted defects, and their figures counted by hand."""

from pathlib import Path

CLEAN = {
    "pkg/__init__.py": "",
    "pkg/sums.py": "def add(left: int, right: int) -> int:\n    return left + right\n",
    "pkg/names.py": "from pkg.sums import add\n\nTHREE = add(1, 2)\n",
}

LINT_DEFECTS = {
    # F401 twice, F821 once, B006 once
    "pkg/lint.py": "import os\nimport sys\n\n\ndef collect(item, found=[]):\n    return undefined\n",
}

TYPE_DEFECTS = {
    # return-value, arg-type, call-arg
    "pkg/kinds.py": (
        'from pkg.sums import add\n\n\ndef name() -> str:\n    return 3\n\n\nWRONG = add("1", 2)\nLACKING = add(1)\n'
    ),
}


def write(root: Path, *parts: dict[str, str]) -> Path:
    """The tree on disk."""
    for part in parts:
        for name, text in part.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return root


def unused_imports(count: int) -> dict[str, str]:
    """A file with so many findings of F401."""
    return {"pkg/unused.py": "".join(f"import json as unused_{number}\n" for number in range(count))}
