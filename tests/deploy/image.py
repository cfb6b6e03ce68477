"""The image's environment without an engine: the hub's wheel, and of the packages only those of runtime.lock."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from deploy.lock import derived
from tests.deploy.files import ROOT, stages

BUILD, IMAGE = stages()
BUILD_SECONDS = 120


@dataclass(frozen=True)
class Image:
    """What stands in the image under /opt/hub, and the wheel that it was made of."""

    bin: Path
    wheel: Path

    @classmethod
    def build(cls, folder: Path) -> "Image":
        """Do what the Dockerfile does, with packages that are linked to instead of installed."""
        wheel = _wheel(folder)
        venv.create(folder / "hub", with_pip=False, symlinks=True)
        (packages,) = (folder / "hub" / "lib").glob("python*/site-packages")
        _link_packages(packages)
        _pip("--python", folder / "hub" / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
        return cls(folder / "hub" / "bin", wheel)

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The Dockerfile's variables, those given, and none of this process."""
        own = IMAGE.environment
        return {**own, "PATH": f"{self.bin}:{os.defpath}", "HOME": own["HUB_DATA_DIR"], **variables}

    def run(self, *command: str, seconds: float = 60, **variables: str) -> "subprocess.CompletedProcess[str]":
        """A command of the image, to its end."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            env=self.environment(variables),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def wheel_names(self) -> list[str]:
        """The files of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()


def _wheel(folder: Path) -> Path:
    sources = folder / "src"
    sources.mkdir()
    for name in BUILD.copied:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        if source.is_dir():
            shutil.copytree(source, sources / name, ignore=ignored)
        else:
            shutil.copy(source, sources / name)
    _pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, sources)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _link_packages(packages: Path) -> None:
    text = next(text for path, text in derived().items() if path.name == "runtime.lock")
    names = [line.split("==")[0] for line in text.splitlines() if "==" in line]
    for name in names:
        installed = distribution(name)
        tops = {file.parts[0] for file in installed.files or [] if file.parts[0] not in {"..", "__pycache__"}}
        for top in tops:
            link = packages / top
            if not link.exists():
                link.symlink_to(Path(str(installed.locate_file(top))))


def _pip(*arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr
