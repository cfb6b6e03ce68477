"""The arguments of generated operations: mostly what a client would send, sometimes what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from graphql import GraphQLEnumType, GraphQLField, get_named_type

from graphql_schema.planner.builder import as_object, object_type_of
from tests.graphql.planner.asking import NOBODY, any_filter
from tests.graphql.planner.cursors import Known, any_order
from tests.graphql.planner.oracle import Facts, camel

WRONG_SIZES = (0, -1, 101, 100, None)
WRONG_CURSORS = ("", "x", "AAAA", "W10", "\x00")
WRONG_IDS = ("x", "", NOBODY, "no-body", "VGFzazp4", "Tm9wZTox", 7)
BUCKETS = ("MINUTE", "HOUR", "DAY", "WEEK", "MONTH")
RARELY = 0.02

Values = dict[str, Any]


@dataclass(frozen=True)
class Stock:
    """What values are taken from: the rows of the world, and the cursors that its connections gave."""

    facts: Facts
    places: Known

    @cached_property
    def ids(self) -> Sequence[str]:
        """The global ids of all rows."""
        return [key for name, rows in self.facts.rows.items() if name != "TaskProgress" for key in rows]

    @cached_property
    def cursors(self) -> Sequence[str]:
        """The cursors of all connections."""
        return [cursor for known in self.places.values() for places in known for cursor in places.cursors]


@dataclass
class Arguments:
    """Chooses values by `random`; with `is_greedy` the greatest pages."""

    stock: Stock
    random: Random
    is_greedy: bool = False

    def of(self, parent: str, name: str, field: GraphQLField) -> Values:
        """Values by argument, as variables have them; what is left out is not there."""
        if "filter" in field.args:
            return self._connection(parent, name, field)
        if name == "groups":
            return self._groups(parent)
        if name == "percentile":
            return {"p": 2 if self._is(RARELY) else self.random.choice((0, 1, 0.5, 0.95))}
        if "ids" in field.args:
            return {"ids": [self._global_id() for _ in range(101 if self._is(RARELY) else self.random.randint(0, 4))]}
        return {argument: self._id(argument, field) for argument in field.args}

    def _connection(self, parent: str, name: str, field: GraphQLField) -> Values:
        node = object_type_of(field, is_list=True).name
        values = self._window()
        if self._is(0.25):
            values["filter"] = any_filter(self.stock.facts, self.random, node, 2, 2)
            if self._is(RARELY):
                values["filter"] = {**values["filter"], self.random.choice(("and", "not")): None}
        known = self.stock.places.get(f"{parent}.{name}")
        if known and self._is(0.2):
            return values | self._between(known)
        if self._is(0.4):
            values["orderBy"] = self._order(node)
        return values

    def _window(self) -> Values:
        ways = self.random.choices(((), ("first",), ("last",), ("first", "last")), (6, 80, 11, 2))[0]
        return {way: self._size() for way in ways}

    def _size(self) -> int | None:
        if self.is_greedy:
            return 100
        return self.random.choice(WRONG_SIZES) if self._is(RARELY) else self.random.randint(1, 4)

    def _between(self, known: Sequence[Any]) -> Values:
        """`after`, `before` or both, with places of the order that is asked for; sometimes of another one."""
        places = self.random.choice(known)
        values: Values = {"orderBy": self._as_list(places.order)} if places.order else {}
        for edge in self.random.choice((("after",), ("before",), ("after", "before"))):
            values[edge] = self._cursor(places.cursors)
        return values

    def _cursor(self, cursors: Sequence[str]) -> str:
        if self._is(RARELY):
            return self.random.choice(WRONG_CURSORS)
        if not cursors or self._is(RARELY):
            return self.random.choice(self.stock.cursors)
        return self.random.choice(cursors)

    def _order(self, node: str) -> Any:
        terms = any_order(self.stock.facts, self.random, node)
        if self._is(RARELY):
            return [*terms, terms[0]]
        return [] if self._is(RARELY) else self._as_list(terms)

    def _as_list(self, terms: Any) -> Any:
        """One alone may stand without its list."""
        return terms[0] if len(terms) == 1 and self._is(0.3) else terms

    def _groups(self, parent: str) -> Values:
        node = parent.removesuffix("Connection")
        values: Values = {}
        if self._is(0.7):
            fields = self.stock.facts.schema.type_map[f"{node}GroupField"]
            assert isinstance(fields, GraphQLEnumType)
            names = self.random.sample(list(fields.values), self.random.randint(1, 3))
            values["by"] = self._as_list([self._by(node, name) for name in names])
        if self._is(0.3):
            values["first"] = 0 if self._is(RARELY) else self.random.randint(1, 5)
        return values

    def _by(self, node: str, name: str) -> Values:
        type_ = get_named_type(self.stock.facts.object(node).fields[camel(name)].type)
        has_bucket = (type_.name == "DateTime") is not self._is(RARELY)
        return {"field": name, "bucket": self.random.choice(BUCKETS)} if has_bucket else {"field": name}

    def _id(self, argument: str, field: GraphQLField) -> Any:
        if argument == "id":
            return self._global_id()
        if self._is(0.1):
            return self.random.choice(WRONG_IDS)
        rows = self.stock.facts.rows[as_object(get_named_type(field.type)).name]
        return self.random.choice(list(rows.values()))[argument]

    def _global_id(self) -> Any:
        return self.random.choice(WRONG_IDS if self._is(RARELY) else self.stock.ids)

    def _is(self, probability: float) -> bool:
        return self.random.random() < probability
