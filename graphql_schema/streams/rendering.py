"""Renders the payloads of a stream: a batch of events by one statement, whoever takes them.

What an event tells comes from the event; its subject is planned like any read, for all events of the batch together, by
the ids. A filter is judged by the same statement, on the subject as it is then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from sqlalchemy import ARRAY, Column, ColumnClause, ColumnElement, Integer, Text, case, cast, exists, func, select

from app.live.records import EventRecord
from graphql_schema.planner.builder import TYPENAME, Builder, as_object, object_type
from graphql_schema.planner.entities import BACK_REFERENCE, SUBJECT_TYPE, Row
from graphql_schema.planner.fills import Fill, Path, fill
from graphql_schema.planner.filters import Conditions, conditions_of
from graphql_schema.planner.group_types import MERGED
from graphql_schema.planner.groups import one_group_json
from graphql_schema.planner.keys import parser_of
from graphql_schema.planner.plan import ReadContext, Statement, compile_statement
from graphql_schema.planner.selection import Given, Selected
from graphql_schema.planner.sql import Expression, number, object_json, text_constant
from graphql_schema.streams.changes import SUBJECT, TOLD, Told

IDS = "the subjects' ids"
"""Where the ids come along with the variables, under a name that no variable can have."""
PLACES = "the places of the subjects that others were merged into"
MERGED_IDS = "the ids of all that were merged"
YES = "yes"
FILTER = "filter"


class Merged(NamedTuple):
    """An event to be told, with the entities of all events that it stands for, its own among them."""

    event: EventRecord
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One response key of a payload: what the event tells, or the subject in one selection of its fields."""

    key: str
    told: Told | None = None
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True)
class Renderer:
    """Makes the JSON of payloads.

    `statement` returns, for all ids, the text of each subject part, then the verdicts of the filter; it is None where
    neither is asked for.
    """

    root: str
    parts: tuple[Part, ...]
    id_of: Told | None = None
    statement: Statement | None = None
    is_filtered: bool = False

    async def render(
        self, told: Sequence[Merged], context: ReadContext, variables: Mapping[str, Any]
    ) -> list[bytes | None]:
        """The body of each payload; None for those that the filter leaves out. Raises `Unavailable`."""
        found = await self._found(told, context, variables)
        return [self._body(each.event, found) for each in told]

    async def _found(
        self, told: Sequence[Merged], context: ReadContext, variables: Mapping[str, Any]
    ) -> dict[str, list[Any]]:
        """By the subject's id: its parts as JSON, and whether it fits."""
        if self.statement is None or self.id_of is None:
            return {}
        merged = {self.id_of(each.event): each.ids for each in told}
        ids = list(merged)
        places = {
            PLACES: [at for at, id_ in enumerate(ids, 1) for _ in merged[id_]],
            MERGED_IDS: [*chain(*merged.values())],
        }
        texts = await self.statement.fetch(context, {**variables, IDS: ids, **places})
        shown = [part for part in self.parts if part.told is None]
        columns = [texts[start : start + len(ids)] for start in range(0, len(texts), len(ids))]
        return {
            id_: [*[_opened(part, column[at], context) for part, column in zip(shown, columns, strict=False)], *rest]
            for at, id_ in enumerate(ids)
            for rest in [[columns[-1][at] == YES] if self.is_filtered else []]
        }

    def _body(self, event: EventRecord, found: Mapping[str, list[Any]]) -> bytes | None:
        mine = found[self.id_of(event)] if self.id_of is not None and found else []
        if self.is_filtered and not mine[-1]:
            return None
        subjects = iter(mine)
        payload = {part.key: next(subjects) if part.told is None else part.told(event) for part in self.parts}
        return orjson.dumps({"data": {self.root: payload}})


def _opened(part: Part, text: str | None, context: ReadContext) -> Any:
    if text is None:
        return None
    return fill(orjson.loads(text), part.fills, context.sealer) if part.fills else orjson.Fragment(text)


def make_renderer(build: Builder, root: Selected) -> Renderer:
    """The renderer of a subscription's root field. Raises `HubError` for wrong arguments below it."""
    payload = object_type(root)
    subject = subject_of(build.selection.schema, payload)
    fields = build.selection.fields(payload, root.nodes)
    if subject is None:
        return Renderer(root.key, tuple(_told_part(selected) for selected in fields))
    asked = _Asked(build, subject)
    parts = [_part(asked, selected, (root.key, selected.key)) for selected in fields]
    is_filtered = _add_filter(asked, root)
    return Renderer(root.key, tuple(parts), subject.id_of, asked.statement(), is_filtered)


@dataclass(frozen=True)
class Subject:
    """What the payloads of a subscription are about."""

    type: GraphQLObjectType
    id_of: Told


def subject_of(schema: GraphQLSchema, payload: GraphQLObjectType) -> Subject | None:
    """What a payload's type declares as its subject; None where events are told without one."""
    for metadata in map(_metadata, payload.fields.values()):
        if SUBJECT in metadata:
            return Subject(as_object(schema.get_type(metadata[SUBJECT_TYPE])), metadata[SUBJECT])
    return None


def _part(asked: "_Asked", selected: Selected, path: Path) -> Part:
    if selected.name == MERGED:
        asked.count(selected, path)
        return Part(selected.key)
    is_subject = selected.name != TYPENAME and SUBJECT in _metadata(selected.field)
    return Part(selected.key, fills=asked.show(selected, path)) if is_subject else _told_part(selected)


def _told_part(selected: Selected) -> Part:
    if selected.name == TYPENAME:
        name = selected.parent.name
        return Part(selected.key, lambda _event: name)
    return Part(selected.key, _metadata(selected.field)[TOLD])


def _add_filter(asked: "_Asked", root: Selected) -> bool:
    if root.argument(FILTER) == Given(None):
        return False
    conditions = conditions_of(asked.build, root, (root.key,), asked.subject.type)
    asked.judge(conditions)
    return True


class _Asked:
    """What is asked about the subjects of a batch: one column of texts for each part, in the order of the ids."""

    def __init__(self, build: Builder, subject: Subject) -> None:
        self.build = build
        self.subject = subject
        self._columns: list[Expression] = []
        self._ids: Any = None

    def show(self, selected: Selected, path: Path) -> tuple[Fill, ...]:
        """Ask for a selection of the subject's fields; `path` leads to it. Returns what is to be filled in."""
        before = len(self.build.fills)
        child = self._row()
        pairs = self.build.object(self.subject.type, child, selected.nodes, path)
        shown = object_json(pairs, child.source(self._is_asked(child)), child.own)
        self._columns.append(cast(shown, Text))
        return tuple(replace(each, path=each.path[len(path) :]) for each in self.build.fills[before:])

    def count(self, selected: Selected, path: Path) -> None:
        """Ask for the figures of all that were merged into the subject."""
        child = self._row()
        key = child.entity.key[0]
        listed = func.unnest(
            self.build.bind_extract(lambda variables, _: variables[PLACES], ARRAY(Integer())),
            self._ids_in(MERGED_IDS, key),
        ).table_valued(ColumnClause("place", Integer()), ColumnClause("id", key.type))
        merged = listed.alias().render_derived()
        mine = select(merged.c.id).where(merged.c.place == self._listed().c.position).correlate_except(merged)
        group = one_group_json(self.build, selected, path, self.subject.type, child, [child[key].in_(mine)])
        self._columns.append(cast(group, Text))

    def judge(self, conditions: Conditions) -> None:
        """Ask whether the subject fits."""
        child = self._row()
        fitting = child.source(self._is_asked(child), *conditions.on(child)).add_columns(number(1))
        fits = exists(fitting.correlate_except(*child.own))
        self._columns.append(case((fits, text_constant(YES)), else_=text_constant("")))

    def statement(self) -> Statement | None:
        """The statement for all of it; None when nothing was asked."""
        if not self._columns:
            return None
        ids = self._listed()
        lists = [
            func.array(select(column).select_from(ids).order_by(ids.c.position).scalar_subquery())
            for column in self._columns
        ]
        return compile_statement(cast(reduce(func.array_cat, lists), ARRAY(Text)), self.build)

    def _row(self) -> Row:
        return self.build.row(self.subject.type)

    def _is_asked(self, child: Row) -> ColumnElement[bool]:
        condition: ColumnElement[bool] = child[child.entity.key[0]] == self._listed().c.id
        return condition

    def _listed(self) -> Any:
        """The ids of the batch as a table, one for all columns."""
        if self._ids is None:
            key = self.build.entities[self.subject.type.name].key[0]
            listed = func.unnest(self._ids_in(IDS, key)).table_valued(
                ColumnClause("id", key.type), with_ordinality="position"
            )
            self._ids = listed.alias().render_derived()
        return self._ids

    def _ids_in(self, name: str, key: Column[Any]) -> Expression:
        parse = parser_of(key)
        return self.build.bind_extract(lambda variables, _: [parse(each) for each in variables[name]], ARRAY(key.type))


def _metadata(field: GraphQLField) -> Mapping[str, Any]:
    declared = field.extensions.get(BACK_REFERENCE)
    return declared.metadata if declared is not None else {}
