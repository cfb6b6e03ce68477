"""Dockerfile and docker-compose.yml as data, read as the tools read them as far as these files go."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}|\$(?P<other>.)")


class MissingVariable(Exception):
    """A variable that has to be given; the message is the file's own."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, its continued lines joined."""

    name: str
    text: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words of the JSON list; None when the instruction is written for a shell."""
        try:
            words = json.loads(self.text)
        except json.JSONDecodeError:
            return None
        return words if isinstance(words, list) else None


@dataclass
class Stage:
    """What follows one FROM."""

    image: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        """The instructions of a name, in order."""
        return [instruction for instruction in self.instructions if instruction.name == name]

    def one(self, name: str) -> Instruction:
        """The only instruction of a name."""
        (found,) = self.all(name)
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        words = [word for instruction in self.all("ENV") for word in shlex.split(instruction.text)]
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    @property
    def copied(self) -> list[str]:
        """The sources, from the folder of the project, that COPY names."""
        sources: list[str] = []
        for instruction in self.all("COPY"):
            words = shlex.split(instruction.text)
            if not words[0].startswith("--from="):
                sources += words[:-1]
        return sources


def stages(path: Path = ROOT / "Dockerfile") -> list[Stage]:
    """The stages of a Dockerfile."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    found: list[Stage] = []
    for line in filter(None, re.sub(r"\\\n\s*", " ", text).splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            image, _, alias = rest.partition(" AS ")
            found.append(Stage(image, alias or None))
        else:
            found[-1].instructions.append(Instruction(name, rest.strip()))
    return found


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` filled in. Raises `MissingVariable`."""
    match value:
        case str():
            return VARIABLE.sub(lambda found: _filled(found, variables), value)
        case list():
            return [interpolated(item, variables) for item in value]
        case dict():
            return {key: interpolated(item, variables) for key, item in value.items()}
    return value


def _filled(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["other"]:
        raise ValueError(f"a $ that means nothing: {found[0]}")
    value = variables.get(found["name"], "")
    if value or found["kind"] is None:
        return value
    if found["kind"] == "?":
        raise MissingVariable(found["text"])
    return found["text"]


def compose() -> dict[str, Any]:
    """docker-compose.yml, its anchors resolved and its variables not."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def service(name: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """One service with its variables filled in. Raises `MissingVariable`."""
    filled: dict[str, Any] = interpolated(compose()["services"][name], variables)
    return filled


def command_line(of_service: Mapping[str, Any]) -> Sequence[str]:
    """What a container of the hub's image runs."""
    image = stages()[-1]
    entrypoint: Sequence[str] | None = of_service.get("entrypoint") or image.one("ENTRYPOINT").exec_form
    command: Sequence[str] | None = of_service.get("command") or image.one("CMD").exec_form
    assert entrypoint is not None
    assert command is not None
    return [*entrypoint, *command]


def seconds(text: str) -> float:
    """A duration as Compose writes it, such as 20s."""
    assert text.endswith("s"), text
    return float(text[:-1])
