"""The argument `orderBy`: which order of a connection was asked for."""

from dataclasses import dataclass
from typing import Any

from graphql import GraphQLObjectType, is_non_null_type

from app.domain.errors import InvalidInput
from graphql_schema.planner.builder import Builder, dotted
from graphql_schema.planner.decisions import Answer
from graphql_schema.planner.entities import Order, entity_of_type
from graphql_schema.planner.fills import Path
from graphql_schema.planner.orders import Ordering, Term, declared
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.vocabulary import ORDER_TERMS_MAX, columns_of


@dataclass(frozen=True)
class Asked:
    """One term of `orderBy`."""

    field: str
    descending: bool
    nulls_first: bool

    def __str__(self) -> str:
        return f"{self.field}{'-' if self.descending else '+'}{'0' if self.nulls_first else ''}"


def ordering_of(
    build: Builder, selected: Selected, path: Path, type_: GraphQLObjectType, own: Order | None
) -> Ordering:
    """The order that was asked for, else the connection's own, else that of the type. Raises `InvalidInput`."""
    asked = build.selection.decide(selected.argument("orderBy"), judge_order)
    entity = entity_of_type(type_)
    if entity is None:
        raise LookupError(f"{type_.name} declares no entity")
    if isinstance(asked, str):
        raise InvalidInput(asked, ".".join((*dotted(path), "orderBy")))
    if not isinstance(asked, tuple):
        return declared(own or entity.default_order)
    columns = columns_of(type_)
    terms = [_term(type_, columns[each.field], each) for each in asked]
    compared = {term.column for term in terms}
    ties = [Term(key, nullable=False, descending=terms[-1].descending) for key in entity.key if key not in compared]
    return Ordering((*terms, *ties), ",".join(map(str, asked)))


def judge_order(value: Any) -> Answer:
    """The terms that were asked for; None for none; what is wrong with them, in words."""
    if not value:
        return None
    if len(value) > ORDER_TERMS_MAX:
        return f"orderBy takes at most {ORDER_TERMS_MAX} terms."
    asked = [Asked(term["field"], term["direction"] == "desc", term["nulls"] == "first") for term in value]
    names = [term.field for term in asked]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"orderBy names {twice[0]} more than once." if twice else tuple(asked)


def _term(type_: GraphQLObjectType, column: Any, asked: Asked) -> Term:
    nullable = not is_non_null_type(type_.fields[asked.field].type)
    return Term(column, nullable, asked.descending, asked.nulls_first and nullable)
