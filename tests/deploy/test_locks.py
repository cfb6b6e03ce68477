"""What the image installs is part of requirements.lock: the same versions, the same hashes, nothing of development."""

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.lock import derived
from tests.deploy.files import ROOT

LOCK = (ROOT / "requirements.lock").read_text()


def names(text: str) -> set[str]:
    """The packages of a lock file."""
    return {canonicalize_name(line.split("==")[0]) for line in text.splitlines() if "==" in line}


def test_the_committed_files_are_derived_from_the_lock() -> None:
    for path, text in derived().items():
        assert path.read_text() == text, "run `python deploy/lock.py`"


def test_every_line_is_one_of_the_lock() -> None:
    lines = set(LOCK.splitlines())
    for text in derived().values():
        assert set(text.splitlines()) <= lines
        assert text.count("--hash=sha256:") >= len(names(text)) > 0


def test_the_runtime_has_what_the_hub_needs_and_no_tool_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = names(next(text for path, text in derived().items() if path.name == "runtime.lock"))
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    dev = {canonicalize_name(Requirement(text).name) for text in project["optional-dependencies"]["dev"]}
    assert needed <= runtime < names(LOCK)
    assert runtime & dev == set()
