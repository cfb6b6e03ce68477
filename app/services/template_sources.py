"""Templates as their authors write them: YAML or JSON, with the place of every fault."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from app.domain.errors import HubError, InvalidInput
from app.domain.rules import bounded_json
from app.domain.template_parts import Where
from app.domain.templates import Fault, WorkflowTemplate, read_template, refusal
from app.security.scrubbing import scrub_json

SOURCE_MAX = 100_000
"""Characters of a template's text."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, ten times as fast, where PyYAML was built with it."""


def spec_of(template: WorkflowTemplate) -> Any:
    """The template as JSON, defaults written out, so that a later default does not change what runs already."""
    return template.model_dump(mode="json", by_alias=True)


def load_template(text: str, source: str) -> WorkflowTemplate:
    """The template in a YAML text; `InvalidInput` tells the line, the path and a hint of every fault."""
    found = read_yaml(text)
    if isinstance(found, WorkflowTemplate):
        return found
    if found[0].path == NO_YAML:
        place = "" if found[0].line is None else f"line {found[0].line}: "
        raise InvalidInput(f"{source} is not YAML: {place}{found[0].message}", "input.spec")
    raise refusal(f"{source} is not a workflow template", found)


def read_yaml(text: str) -> WorkflowTemplate | list[Fault]:
    """The template in a YAML text, or all that is wrong with it, each with its line."""
    if REMOVED in text:
        place = text[: text.index(REMOVED)].count("\n") + 1
        return [Fault((), "held what looks like a secret, which was removed", KEEP_HINT, place)]
    if len(text) > SOURCE_MAX:
        return [Fault((), f"has {len(text)} characters, at most {SOURCE_MAX} are taken")]
    try:
        if aliases := _aliases(text):
            return aliases
        root = yaml.compose(text, Loader=LOADER)
        data = yaml.load(text, Loader=LOADER)  # noqa: S506  (a safe loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        return [Fault(NO_YAML, str(error.problem), line=line)]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # a ValueError is a date that there is not
        return [Fault(NO_YAML, str(error))]
    found = _double_keys(root) or read_spec(data)
    if isinstance(found, WorkflowTemplate):
        return found
    return [fault if fault.line is not None else replace(fault, line=_line_of(root, fault.path)) for fault in found]


def read_spec(data: Any) -> WorkflowTemplate | list[Fault]:
    """The template that the JSON describes, or all that is wrong with it."""
    try:
        bounded_json("spec", data)
    except HubError as error:
        return [Fault((), error.message)]
    return _secrets(data) or read_template(data)


REMOVED = "[secret removed: "
"""What the API puts in the place of a secret before anybody sees it."""
KEEP_HINT = "write where it is kept instead, such as env:NAME"
NO_YAML: Where = ("YAML",)
"""The path of a fault that is none of the template's."""


def _aliases(text: str) -> list[Fault]:
    """A few aliases can spell a tree without end."""
    return [
        Fault((), "aliases are not taken", "write the part out", event.start_mark.line + 1)
        for event in yaml.parse(text, Loader=LOADER)
        if isinstance(event, yaml.AliasEvent) and event.start_mark is not None
    ]


def _double_keys(root: yaml.Node | None) -> list[Fault]:
    """YAML would silently take the last one."""
    found = []
    for mapping in _mappings(root):
        seen: set[str] = set()
        for key, _ in mapping.value:
            if key.value in seen:
                found.append(Fault((), f"{key.value!r} is given twice", "keep one", key.start_mark.line + 1))
            seen.add(str(key.value))
    return found


def _secrets(data: Any) -> list[Fault]:
    """A template is stored and shown to whoever reads; and one without its secret would not work."""
    if REMOVED in str(data):
        return [Fault((), "held what looks like a secret, which was removed", KEEP_HINT)]
    found = scrub_json(data).found
    return [Fault(_place(path), f"holds what looks like a secret ({kind})", KEEP_HINT) for path, kind in found]


def _place(path: str) -> Where:
    return tuple(int(part) if part.isdecimal() else part for part in path.split(".") if part)


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
