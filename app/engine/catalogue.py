"""The templates that ship with the hub: read from YAML with the place of every fault, and stored in the database."""

from collections.abc import Iterator
from functools import cache
from importlib import resources

import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidInput
from app.domain.templates import Where, WorkflowTemplate, parse_template
from app.security.scrubbing import scrub_json
from db.queries.catalogue import latest_spec, lock_catalogue, store_spec

FOLDER = resources.files("app.engine") / "templates"


async def sync_templates(session: AsyncConnection) -> list[str]:
    """Store the shipped templates that are new or differ from their latest version; what was stored, as `name@version`.

    Templates that did not change keep their version. Any number of processes may call this at once.
    """
    await lock_catalogue(session)
    stored = []
    for template in shipped_templates():
        latest = await latest_spec(session, template.name)
        if latest is not None and _is_same(latest.spec, template):
            continue
        version = latest.template_version + 1 if latest is not None else 1
        await store_spec(session, template.name, version, template.description, spec_of(template))
        stored.append(f"{template.name}@{version}")
    return stored


@cache
def shipped_templates() -> tuple[WorkflowTemplate, ...]:
    """The templates in the package, by name. Raises `InvalidInput`."""
    files = sorted((file for file in FOLDER.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return tuple(load_template(file.read_text(encoding="utf-8"), file.name) for file in files)


def spec_of(template: WorkflowTemplate) -> object:
    """The template as JSON, defaults written out, so that a later default does not change what runs already."""
    return template.model_dump(mode="json")


def load_template(text: str, source: str) -> WorkflowTemplate:
    """The template in a YAML text; `InvalidInput` tells the line, the path and a hint of every fault."""
    try:
        _refuse_aliases(text, source)
        data = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise InvalidInput(f"{source} is not YAML: {place}{error.problem}", "input.spec") from None
    except (yaml.YAMLError, ValueError) as error:
        # a ValueError is a date that there is not
        raise InvalidInput(f"{source} is not YAML: {error}", "input.spec") from None
    _refuse_double_keys(root, source)
    _refuse_secrets(data, source)
    return parse_template(data, source, lambda path: _line_of(root, path))


def _is_same(spec: object, template: WorkflowTemplate) -> bool:
    """Whether the stored spec means the same, though a newer hub may write out more defaults."""
    try:
        return parse_template(spec, "the stored spec") == template
    except InvalidInput:
        return False


def _refuse_aliases(text: str, source: str) -> None:
    """A few aliases can spell a tree without end."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark is not None else "unknown"
            raise InvalidInput(f"{source} is not a workflow template: line {line}, aliases are not taken "
                               "(write the part out)", "input.spec")  # fmt: skip


def _refuse_double_keys(root: yaml.Node | None, source: str) -> None:
    """YAML would silently take the last one."""
    for mapping in _mappings(root):
        seen: set[str] = set()
        for key, _ in mapping.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise InvalidInput(f"{source} is not a workflow template: line {line}, {key.value!r} is given twice "
                                   "(keep one)", "input.spec")  # fmt: skip
            seen.add(str(key.value))


def _refuse_secrets(data: object, source: str) -> None:
    """A template is stored and shown to whoever reads; and one without its secret would not work."""
    for path, kind in scrub_json(data).found:
        raise InvalidInput(f"{source} is not a workflow template: {path} holds what looks like a secret ({kind}) "
                           "(write where it is kept instead, such as env:NAME)", "input.spec")  # fmt: skip


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    todo = [node] if node is not None else []
    while todo:
        found = todo.pop()
        if isinstance(found, yaml.MappingNode):
            yield found
            todo += [value for _, value in found.value]
        elif isinstance(found, yaml.SequenceNode):
            todo += found.value


def _line_of(node: yaml.Node | None, path: Where) -> int | None:
    """The line of the deepest part of the path that is there, from 1."""
    line = node.start_mark.line + 1 if node is not None else None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        else:
            found = None
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line
