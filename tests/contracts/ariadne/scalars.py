"""What the hub's scalars are in Python, where the standard library has no type for them."""

from typing import Annotated, NewType

from pydantic import Field

BigInt = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Cursor = NewType("Cursor", str)
"""A place in a connection or a stream; good only where it came from."""
