"""JSON in SQL: the few expressions from which a planned statement is made.

`row_to_json` over a sub-select is half as fast again as `JSON_OBJECT` and writes no padding (measured on PostgreSQL
18), but PostgreSQL cuts column names at 63 bytes; only objects with a longer key are built by `JSON_OBJECT`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLOutputType,
    get_named_type,
)
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    FromClause,
    Integer,
    LargeBinary,
    Numeric,
    ScalarSelect,
    Select,
    String,
    Text,
    cast,
    collate,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

NAME_BYTES = 63
"""Longer names of columns are cut by PostgreSQL."""
COLUMNS_MAX = 1_600
"""More columns than this no row may have in PostgreSQL."""

SCALAR_TYPES: Mapping[str, TypeEngine[Any] | None] = {
    "Boolean": Boolean(),
    "BigInt": BigInteger(),
    "DateTime": DateTime(timezone=True),
    "Decimal": Numeric(),
    "Float": Double(),
    "ID": None,
    "Int": Integer(),
    "String": None,
}
"""What a value within a JSON document is cast to for a field of a GraphQL scalar; None leaves it a text."""

Pairs = Sequence[tuple[str, ColumnElement[Any]]]
Expression = ColumnElement[Any]


class Constant(ColumnElement[Any]):
    """A text of the program's own (a name, a status), written into the statement by the dialect's literal rules.

    Never for values that come from a request: those are bound.
    """

    inherit_cache = False

    def __init__(self, value: str, type_: TypeEngine[Any] | None = None) -> None:
        self.value = value
        self.type = type_ or Text()


@compiles(Constant)
def _constant(element: Constant, compiler: SQLCompiler, **_: Any) -> str:
    rendered = compiler.render_literal_value(element.value, String())
    return f"CAST({rendered} AS JSON)" if isinstance(element.type, JSON) else rendered


class JsonObject(ColumnElement[Any]):
    """`JSON_OBJECT(k VALUE v, …)`: an object with keys of any length."""

    inherit_cache = False

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = tuple(pairs)
        self.type = JSON()

    @property
    def _from_objects(self) -> list[FromClause]:
        return [source for _, value in self.pairs for source in value._from_objects]


@compiles(JsonObject)
def _json_object(element: JsonObject, compiler: SQLCompiler, **options: Any) -> str:
    # without RETURNING json a single jsonb value would make the object jsonb, which sorts its keys
    pairs = ", ".join(
        f"{compiler.render_literal_value(key, String())} VALUE {compiler.process(value, **options)}"
        for key, value in element.pairs
    )
    return f"JSON_OBJECT({pairs} RETURNING json)"


def text_constant(value: str) -> Expression:
    """A constant text."""
    return Constant(value)


def json_constant(value: str) -> Expression:
    """A constant JSON text."""
    return Constant(value, JSON())


def number(value: int) -> Expression:
    """A whole number that the planner itself chose or checked, such as the size of a page.

    It is part of the statement, not bound: for a bound LIMIT PostgreSQL's generic plans assume a tenth of the table.
    """
    return literal_column(str(int(value)))


def json_null() -> Expression:
    """JSON's null."""
    return cast(null(), JSON())


def rows_json(pairs: Pairs, source: Select[Any] | None = None, own: Sequence[FromClause] = ()) -> Select[Any]:
    """A SELECT of one JSON object for each row of `source`, a SELECT without columns; one row if there is none.

    `own` are the tables of `source`; every other table that the values name belongs to an enclosing SELECT.
    """
    base: Select[Any] = select() if source is None else source
    if _fits_a_row(pairs):
        columns = [value.label(key) for key, value in pairs]
        inner = base.add_columns(*columns).correlate_except(*own).subquery()
        return select(func.row_to_json(inner.table_valued(), type_=JSON()).label("value"))
    return base.add_columns(JsonObject(pairs).label("value")).correlate_except(*own)


def object_json(pairs: Pairs, source: Select[Any] | None = None, own: Sequence[FromClause] = ()) -> ScalarSelect[Any]:
    """One JSON object as a scalar; null when `source` has no row."""
    return rows_json(pairs, source, own).scalar_subquery()


def array_json(rows: Select[Any]) -> Expression:
    """The values of a SELECT of one column as a JSON array, in its order; `[]` when there are none."""
    return func.array_to_json(func.array(rows.scalar_subquery()), type_=JSON())


def render(value: Expression, type_: GraphQLNamedType) -> Expression:
    """The value as it must stand in the response for a field of this GraphQL type.

    Enum values are spelled in upper case, decimals are texts without trailing zeros; points in time come out as
    RFC 3339 because sessions run in UTC; bytes never leave the database this way.
    """
    if isinstance(value.type, LargeBinary):
        raise TypeError(f"a field of type {type_.name} would show bytes")
    if isinstance(value.type, JSON):
        return value
    if isinstance(type_, GraphQLEnumType):
        # in the C collation: a database made in a Turkish locale would give İ for i
        return func.upper(collate(value, "C"), type_=Text())
    if type_.name == "Decimal":
        return cast(func.trim_scale(value), Text())
    return value


def json_value(document: Expression, key: str, type_: GraphQLOutputType) -> Expression:
    """What a JSON object has under a key, as a field of this GraphQL type shows it; null where it has nothing.

    A scalar is taken out as text and cast, since versions before PostgreSQL 18 cannot cast a JSON null.
    """
    inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    named = get_named_type(inner)
    if isinstance(inner, GraphQLList) or (named.name not in SCALAR_TYPES and not isinstance(named, GraphQLEnumType)):
        return cast(document.op("->")(text_constant(key)), JSON())
    text = document.op("->>", return_type=Text())(text_constant(key))
    sql_type = SCALAR_TYPES.get(named.name)
    return render(text if sql_type is None else cast(text, sql_type), named)


def base64_json(value: Expression) -> Expression:
    """Bytes as base64 text, with PostgreSQL's line breaks."""
    return func.encode(value, text_constant("base64"), type_=Text())


def opaque(value: Expression) -> Expression:
    """A text as base64 of the URL-safe kind, without padding."""
    encoded = base64_json(func.convert_to(value, text_constant("UTF8")))
    return func.translate(encoded, text_constant("+/=\n"), text_constant("-_"), type_=Text())


def plain_base64(value: Expression) -> Expression:
    """A text as base64 on one line."""
    encoded = base64_json(func.convert_to(value, text_constant("UTF8")))
    return func.translate(encoded, text_constant("\n"), text_constant(""), type_=Text())


def _fits_a_row(pairs: Pairs) -> bool:
    return 0 < len(pairs) <= COLUMNS_MAX and all(len(key) <= NAME_BYTES for key, _ in pairs)
