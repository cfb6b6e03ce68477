"""From a request to what it asks to be told: checked whole before a stream is joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import GraphQLError, OperationType, VariableNode, Visitor, visit
from graphql.execution.values import VariableValues

from app.domain.errors import HubError, InvalidInput
from app.domain.principals import Principal
from app.live.records import EventFilter
from app.security.policy import Permission, authorise
from graphql_schema.errors import typed_error
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.planner.builder import Builder, as_object
from graphql_schema.planner.decisions import Decisions
from graphql_schema.planner.documents import WHICH_OPERATION, Document
from graphql_schema.planner.entities import BACK_REFERENCE, STREAM, entities_by_name
from graphql_schema.planner.extension import coerce
from graphql_schema.planner.planner import Operation, rights_of
from graphql_schema.planner.selection import FromVariable, Selected, Selection
from graphql_schema.schema import HubSchema
from graphql_schema.streams.declaring import AFTER, INTERVAL_MAX, MIN_INTERVAL, SNAPSHOT, Keeps, StreamPlan

ONE_FIELD = "A subscription asks for exactly one field, and it must not be left out by a directive."


class Refused(Exception):
    """The request cannot be answered by a stream; `errors` say why."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(*errors)
        self.errors = errors


@dataclass(frozen=True)
class Opening:
    """What a request asks to be told: which events, rendered how, beginning where.

    Requests of equal `key` are told the same, and share a stream; only where they begin is their own. `min_interval` is
    in seconds, 0 where every event is told.
    """

    key: tuple[object, ...]
    plan: StreamPlan
    root: Selected
    build: Builder
    variables: Mapping[str, Any]
    wanted: EventFilter
    given: Mapping[str, Any]
    keeps: Keeps
    min_interval: float
    after: str | None
    snapshot: bool


def is_subscription(schema: HubSchema, request: GraphQLRequest) -> bool:
    """Whether the request runs a subscription. What cannot be parsed, or told, is none."""
    try:
        document = schema.documents.prepare(request.query)
    except GraphQLError:
        return False
    operation = document.operation(request.operation_name)
    return operation is not None and operation.node.operation is OperationType.SUBSCRIPTION


def opening_of(schema: HubSchema, request: GraphQLRequest, principal: Principal) -> Opening:
    """Check the request as a whole. Raises `Refused`."""
    operation = _operation(schema, request)
    values = coerce(schema, operation, request.variables or {})
    if not isinstance(values, VariableValues):
        raise Refused(*values)
    try:
        schema.planner.cost(operation, values.coerced)
        authorise(principal, Permission.READ)
        return _opening(schema, request, operation, values.coerced, principal)
    except HubError as error:
        raise Refused(typed_error(error)) from None
    except GraphQLError as error:
        raise Refused(error) from None


def _operation(schema: HubSchema, request: GraphQLRequest) -> Operation:
    try:
        document: Document = schema.documents.prepare(request.query)
    except GraphQLError as error:
        raise Refused(error) from None
    if document.errors:
        raise Refused(*document.errors)
    operation = document.operation(request.operation_name)
    if operation is None:
        raise Refused(GraphQLError(WHICH_OPERATION))
    return operation


def _opening(
    schema: HubSchema,
    request: GraphQLRequest,
    operation: Operation,
    variables: Mapping[str, Any],
    principal: Principal,
) -> Opening:
    core = schema._schema
    rights = rights_of(principal)
    selection = Selection(core, operation.fragments, Decisions(variables))
    roots = list(selection.of_sets(as_object(core.subscription_type), [operation.node.selection_set]))
    if len(roots) != 1 or roots[0].name.startswith("__"):
        raise InvalidInput(ONE_FIELD)
    (root,) = roots
    plan: StreamPlan = root.field.extensions[BACK_REFERENCE].metadata[STREAM]
    given = {name: root.argument(name).read(variables) for name in root.field.args}
    own = _own_variables(operation, root)
    shared = {name: value for name, value in (request.variables or {}).items() if name not in own}
    return Opening(
        (request.query, request.operation_name, orjson.dumps(shared, option=orjson.OPT_SORT_KEYS), rights),
        plan,
        root,
        Builder(selection, rights, entities_by_name(core.type_map)),
        variables,
        plan.wanted(given),
        given,
        plan.keeps(given, rights),
        max(_interval(given.get(MIN_INTERVAL)), plan.least_interval),
        given.get(AFTER),
        bool(given.get(SNAPSHOT)) and given.get(AFTER) is None,
    )


def _interval(milliseconds: int | None) -> float:
    if milliseconds is None:
        return 0.0
    if not 1 <= milliseconds <= INTERVAL_MAX:
        raise InvalidInput(f"{MIN_INTERVAL} must be from 1 to {INTERVAL_MAX} milliseconds.", MIN_INTERVAL)
    return milliseconds / 1000


def _own_variables(operation: Operation, root: Selected) -> set[str]:
    """The variables that say nothing but where this one subscriber begins."""
    sources = [root.argument(name) for name in (AFTER, SNAPSHOT) if name in root.field.args]
    names = {source.name for source in sources if isinstance(source, FromVariable)}
    if not names:
        return names
    uses = _Uses()
    for node in (operation.node.selection_set, *operation.fragments.values()):
        visit(node, uses)
    return {name for name in names if uses.times.get(name) == 1}


class _Uses(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, int] = {}

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.times[node.name.value] = self.times.get(node.name.value, 0) + 1
