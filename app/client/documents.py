"""The parts that GraphQL documents share."""


def mutation(field: str, selection: str, input: str | None = None) -> str:
    """A mutation that can be tried out: `selection` of its payload, why it was refused, what a dry run would do.

    Its input type is named as the field is, unless `input` gives another name.
    """
    name = field[0].upper() + field[1:]
    return f"""
mutation {name}($input: {input or name + "Input"}!) {{
  {field}(input: $input) {{
    {selection}
    redactedFields
    userErrors {{ field message code currentVersion }}
    dryRun {{ wouldSucceed changeCount changes {{
      aggregate entityId eventType fromStatus toStatus version detail
    }} }}
  }}
}}
"""


def listing(name: str, field: str, selection: str, of: tuple[str, str] | None = None) -> str:
    """A connection to be paged through: the root's field, or that of one object, `of` which field and key."""
    if of is None:
        return f"""
query {name}($first: Int!, $after: Cursor) {{
  {_connection(field, selection)}
}}
"""
    owner, key = of
    return f"""
query {name}(${key}: ID!, $first: Int!, $after: Cursor) {{
  {owner}({key}: ${key}) {{ {_connection(field, selection)} }}
}}
"""


def _connection(field: str, selection: str) -> str:
    edges = f"edges {{ cursor node {{ {selection} }} }}"
    return f"{field}(first: $first, after: $after) {{ {edges} pageInfo {{ hasNextPage }} }}"
