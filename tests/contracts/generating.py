"""Typed clients, made from the committed SDL and clients/operations by the generators that others use."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.contracts.npm import NODE, installed
from tests.environments import environment_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SDL = ROOT / "graphql_schema" / "schema.graphql"
OPERATIONS = ROOT / "clients" / "operations"
MYPY = ("-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=silent")
SECONDS = 100

Command = tuple[str | Path, ...]


@dataclass(frozen=True)
class GeneratedClient:
    """A client in a folder of its own: how it is made, how its types are checked, what runs it."""

    folder: Path
    generate: Command
    check_types: Command
    exercise: Command

    def run(self, command: Command, *arguments: str) -> str:
        """Standard output of a command, which has to succeed."""
        done = subprocess.run([*command, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def typescript(folder: Path) -> GeneratedClient:
    """By graphql-codegen, checked by tsc, run by Node as it is."""
    packages = installed(HERE / "typescript") / "node_modules"
    for name in ("generate.mjs", "scalars.ts", "client.ts", "exercise.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / "typescript" / name, folder)
    (folder / "node_modules").symlink_to(packages)
    return GeneratedClient(
        folder,
        generate=(NODE, "generate.mjs", SDL, OPERATIONS, "operations.ts"),
        check_types=(NODE, packages / "typescript" / "bin" / "tsc", "--project", "."),
        exercise=(NODE, "exercise.ts"),
    )


def python(folder: Path, hubs_python: str) -> GeneratedClient:
    """By ariadne-codegen, checked by the hub's mypy, run in the generator's environment."""
    commands = environment_of(HERE / "ariadne" / "requirements.lock")
    for name in ("pyproject.toml", "scalars.py", "exercise.py"):
        shutil.copy(HERE / "ariadne" / name, folder)
    (folder / "schema.graphql").symlink_to(SDL)
    (folder / "operations").symlink_to(OPERATIONS)
    return GeneratedClient(
        folder,
        generate=(commands / "ariadne-codegen", "--config", "pyproject.toml"),
        check_types=(hubs_python, *MYPY, "--python-executable", commands / "python", "exercise.py"),
        exercise=(commands / "python", "exercise.py"),
    )
