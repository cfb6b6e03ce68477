"""Writes the schema's SDL to graphql_schema/schema.graphql: `python -m graphql_schema.export`."""

from pathlib import Path

from graphql_schema.schema import build_schema

SDL_FILE = Path(__file__).with_name("schema.graphql")


def sdl() -> str:
    """The schema in the schema definition language."""
    return build_schema().as_str() + "\n"


def main() -> None:
    """Write the file."""
    SDL_FILE.write_text(sdl())


if __name__ == "__main__":
    main()
