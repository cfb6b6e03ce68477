"""What reads should answer, worked out in Python from all rows of the world as the API shows them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    print_ast,
    value_to_literal,
)

Row = Mapping[str, Any]
Key = str
Filter = Mapping[str, Any]

ALL = 100
"""No connection of the world has more rows, so one page shows all."""


def literal(value: Any, type_: GraphQLInputType) -> str:
    """A value as it is written in a document."""
    node = value_to_literal(value, type_)
    assert node is not None
    return print_ast(node)


def is_writable(value: Any) -> bool:
    """Whether a value can be written in a document, where all keys are names."""
    if isinstance(value, list):
        return all(map(is_writable, value))
    return not isinstance(value, dict) or all(key.isidentifier() and is_writable(value[key]) for key in value)


def comparable(type_: GraphQLOutputType | GraphQLInputType, shown: Any) -> Any:
    """A value as it compares: amounts and points in time as such, enum values as they are stored."""
    named = get_named_type(type_)
    if shown is None:
        return None
    if isinstance(named, GraphQLEnumType):
        return shown.lower()
    match named.name:
        case "Decimal":
            return Decimal(str(shown))
        case "DateTime":
            return datetime.fromisoformat(shown)
    return shown


class Asks(Protocol):
    """What answers the questions that facts are read by."""

    async def data(self, query: str, **variables: Any) -> Any: ...


TIMED = {"attentionQueue"}
"""Roots whose answers depend on the time: tests/api/test_attention.py asks them."""


@dataclass
class Facts:
    """All rows by type and key; relations hold keys. `order` has the keys of each root connection, as it shows them."""

    schema: GraphQLSchema
    rows: dict[str, dict[Key, Row]] = field(default_factory=dict)
    order: dict[str, list[Key]] = field(default_factory=dict)

    @property
    def roots(self) -> dict[str, str]:
        """The connections of Query by the type of their nodes, but for what is another from one second to the next."""
        found = {}
        for name, each in self.object("Query").fields.items():
            named = get_named_type(each.type)
            if name not in TIMED and isinstance(named, GraphQLObjectType) and "nodes" in named.fields:
                found[get_named_type(named.fields["nodes"].type).name] = name
        return found

    def object(self, name: str) -> GraphQLObjectType:
        found = self.schema.type_map[name]
        assert isinstance(found, GraphQLObjectType)
        return found

    def input(self, name: str) -> GraphQLInputObjectType:
        found = self.schema.type_map[name]
        assert isinstance(found, GraphQLInputObjectType)
        return found

    def questions(self, type_name: str) -> dict[str, GraphQLInputObjectType]:
        """What a filter over the type can ask about, by field."""
        found = {}
        for name, each in self.input(f"{type_name}Filter").fields.items():
            named = get_named_type(each.type)
            if name not in ("and", "or", "not") and isinstance(named, GraphQLInputObjectType):
                found[name] = named
        return found

    def related(self, type_name: str, name: str) -> tuple[str, bool] | None:
        """The type that a field relates to, and whether to many of it; None for values."""
        named = get_named_type(self.object(type_name).fields[name].type)
        if is_leaf_type(named) or not isinstance(named, GraphQLObjectType):
            return None
        is_many = "nodes" in named.fields
        return (get_named_type(named.fields["nodes"].type).name, True) if is_many else (named.name, False)

    def shown(self, type_name: str) -> list[Row]:
        """The rows of a root connection in its own order."""
        return [self.rows[type_name][key] for key in self.order[type_name]]

    def fitting(self, type_name: str, asked: Filter) -> list[Key]:
        """The keys of a root connection for which a filter holds, in its own order."""
        return [key for key in self.order[type_name] if self.holds(type_name, self.rows[type_name][key], asked)]

    def holds(self, type_name: str, row: Row, asked: Filter) -> bool:
        """Whether a filter holds for a row."""
        return all(self._one(type_name, row, name, value) for name, value in asked.items())

    def _one(self, type_name: str, row: Row, name: str, asked: Any) -> bool:
        match name:
            case "and":
                return all(self.holds(type_name, row, part) for part in asked)
            case "or":
                return any(self.holds(type_name, row, part) for part in asked)
            case "not":
                return not self.holds(type_name, row, asked)
        related = self.related(type_name, name)
        if related is None:
            type_ = self.object(type_name).fields[name].type
            return all(test(op, type_, row[name], value) for op, value in asked.items())
        other, is_many = related
        rows = self.rows[other]
        if not is_many:
            return row[name] is not None and self.holds(other, rows[row[name]], asked)
        return all(
            QUANTIFIERS[quantifier](self.holds(other, rows[key], part) for key in row[name])
            for quantifier, part in asked.items()
        )


QUANTIFIERS: Mapping[str, Callable[[Iterator[bool]], bool]] = {
    "some": any,
    "every": all,
    "none": lambda each: not any(each),
}


def test(op: str, type_: GraphQLOutputType, shown: Any, asked: Any) -> bool:
    """Whether one condition holds for a value."""
    if get_named_type(type_).name == "JSON":
        return _json_test(op, shown, asked)
    value = comparable(type_, shown) if not isinstance(shown, list) else shown
    match op:
        case "isNull":
            return (value is None) is asked
        case "isEmpty":
            return (value == []) is asked
        case "containsAll":
            return set(asked) <= set(value)
        case "containsAny":
            return not set(asked).isdisjoint(value)
        case "ne":
            return bool(value != comparable(type_, asked))
    return value is not None and _compared(op, type_, value, asked)


def _compared(op: str, type_: GraphQLOutputType, value: Any, asked: Any) -> bool:
    if op == "in":
        return value in [comparable(type_, each) for each in asked]
    given = comparable(type_, asked)
    answers: Mapping[str, Callable[[], bool]] = {
        "eq": lambda: value == given,
        "lt": lambda: value < given,
        "lte": lambda: value <= given,
        "gt": lambda: value > given,
        "gte": lambda: value >= given,
        "contains": lambda: given.lower() in value.lower(),
        "startsWith": lambda: value.lower().startswith(given.lower()),
    }
    return answers[op]()


def _json_test(op: str, value: Any, asked: Any) -> bool:
    match op:
        case "isNull":
            return (value is None) is asked
        case "hasKey":
            return isinstance(value, dict) and asked in value
    # a list has a single value as it has a list of it
    return value is not None and (_has(value, asked) or (not isinstance(asked, dict) and _has(value, [asked])))


def _has(value: Any, part: Any) -> bool:
    """PostgreSQL's `@>`: objects by key, lists as sets, the rest by equality."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(key in value and _has(value[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(value, list) and all(any(_has(item, each) for item in value) for each in part)
    return type(value) is type(part) and bool(value == part)


def sorted_rows(facts: Facts, type_name: str, terms: Sequence[Mapping[str, str]], keys: Sequence[str]) -> list[Row]:
    """The rows of a root connection in an order; `keys` are the fields that tell rows apart."""
    type_ = facts.object(type_name)
    rows = facts.shown(type_name)
    last = terms[-1].get("direction", "ASC")
    named = [{**term, "field": camel(term["field"])} for term in terms]
    # by the last term first: sorting is stable
    for term in [*reversed([*named, *[{"field": key, "direction": last} for key in keys]])]:
        name, descending = term["field"], term.get("direction") == "DESC"
        values = [row for row in rows if row[name] is not None]
        nulls = [row for row in rows if row[name] is None]
        at = type_.fields[name].type
        values.sort(key=lambda row: comparable(at, row[name]), reverse=descending)
        rows = [*nulls, *values] if term.get("nulls") == "FIRST" else [*values, *nulls]
    return rows


def camel(name: str) -> str:
    """CREATED_AT is `createdAt`."""
    first, *rest = name.split("_")
    return first.lower() + "".join(word.capitalize() for word in rest)


async def read_facts(schema: GraphQLSchema, reader: Asks) -> Facts:
    """Read every row, a statement for each root connection; more at once than the limits of cost allow."""
    facts = Facts(schema)
    for type_name, root in facts.roots.items():
        query = f"{{ page: {root}(first: {ALL}) {{ nodes {_selection(facts, type_name, 1)} totalCount }} }}"
        page = (await reader.data(query))["page"]
        assert len(page["nodes"]) == page["totalCount"] < ALL
        facts.order[type_name] = [_keep(facts, type_name, node) for node in page["nodes"]]
    return facts


def _selection(facts: Facts, type_name: str, deeper: int) -> str:
    """All that can be asked about; relations by key, or in full where there is no connection that shows their type."""
    parts = []
    for name in facts.questions(type_name):
        related = facts.related(type_name, name)
        if related is None:
            parts.append(name)
            continue
        other, is_many = related
        whole = deeper and (other not in facts.roots or other == "WorkflowTemplate")
        inner = _selection(facts, other, deeper - 1) if whole else f"{{ {_key(other)} }}"
        parts.append(f"{name}(first: {ALL}) {{ nodes {inner} }}" if is_many else f"{name} {inner}")
    return "{ " + " ".join({_key(type_name): None, **dict.fromkeys(parts)}) + " }"


def _key(type_name: str) -> str:
    return "taskId" if type_name == "TaskProgress" else "id"


def _keep(facts: Facts, type_name: str, node: Mapping[str, Any]) -> Key:
    key: Key = node[_key(type_name)]
    if set(node) == {_key(type_name)}:
        return key
    row = dict(node)
    for name in facts.questions(type_name):
        related = facts.related(type_name, name)
        if related is not None and row[name] is not None:
            other, is_many = related
            found = row[name]
            row[name] = (
                [_keep(facts, other, each) for each in found["nodes"]] if is_many else _keep(facts, other, found)
            )
    facts.rows.setdefault(type_name, {})[key] = row
    return key
