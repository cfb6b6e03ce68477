"""Derives what the image installs from requirements.lock: `python deploy/lock.py`, after every `make lock`.

requirements.lock pins everything, the tools of development included. The image takes two parts of it, line by line
with its hashes: what the hub needs to run, and what builds its wheel. Which packages those are is read off the
metadata of the installed ones, so it is run where requirements.lock is installed. The results are committed, and a
test compares them.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "requirements"
PLATFORMS: Sequence[Mapping[str, str]] = [
    {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
        "python_version": "3.11",
        "python_full_version": "3.11.14",
    }
    for machine in ("x86_64", "aarch64")
]
"""Where images run; what only other systems need is left out."""

Wanted = tuple[NormalizedName, frozenset[str]]
"""A package and the extras of it that are asked for."""


def derived() -> dict[Path, str]:
    """The contents that the derived files should have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = _locked((ROOT / "requirements.lock").read_text())
    return {
        FOLDER / "runtime.lock": _part(lines, project["project"]["dependencies"]),
        FOLDER / "build.lock": _part(lines, project["build-system"]["requires"]),
    }


def _locked(text: str) -> dict[NormalizedName, str]:
    """The lock by package: its line with the lines that continue it."""
    blocks = re.split(r"\n(?=\S)", text.strip())
    return {canonicalize_name(block.split("==")[0]): block for block in blocks}


def _part(lines: Mapping[NormalizedName, str], requirements: Sequence[str]) -> str:
    return "".join(lines[name] + "\n" for name in sorted(_closure(requirements)))


def _closure(requirements: Sequence[str]) -> set[NormalizedName]:
    """All packages that the requirements lead to, on any of the platforms."""
    seen: set[Wanted] = set()
    waiting = list(_wanted(requirements, frozenset()))
    while waiting:
        package = waiting.pop()
        if package not in seen:
            seen.add(package)
            name, extras = package
            waiting += _wanted(distribution(name).requires or [], extras)
    return {name for name, _ in seen}


def _wanted(requirements: Sequence[str], extras: frozenset[str]) -> Iterator[Wanted]:
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        environments = [{**platform, "extra": extra} for platform in PLATFORMS for extra in (extras or {""})]
        if marker is None or any(marker.evaluate(environment) for environment in environments):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in derived().items():
        path.write_text(text)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {text.count('==')} packages\n")


if __name__ == "__main__":
    main()
