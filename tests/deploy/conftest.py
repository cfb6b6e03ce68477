"""The fixtures of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import Image


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """What the image contains."""
    folder = Path(tempfile.mkdtemp(prefix="hub-image-"))
    try:
        yield Image.build(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
