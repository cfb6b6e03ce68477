"""Writes docs/data-model.md."""

from tests.data_model.model import load
from tests.data_model.page import PAGE, render

if __name__ == "__main__":
    PAGE.write_text(render(load()))
