"""Domain values as JSON for API clients: every field is there, whether or not it has its default.

Captured state is for undoing alone: clients see the names of its fields, not what they hold.
"""

from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import TypeAlias

import msgspec
from fastapi import Response

from midwatch.domain.events import StepActed, StepStarted
from midwatch.domain.runs import StepRecord, touched

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


def plain(value: object) -> JsonValue:
    """A domain value as JSON values. Structs become objects with all their fields, times RFC 3339 text."""
    match value:
        case Enum():
            return str(value.value)
        case None | bool() | int() | float() | str():
            return value
        case date():  # a datetime too
            return value.isoformat()
        case msgspec.Struct():
            fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
            return fields | {name: touched(getattr(value, name)) for name in _captured(value)}
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def _captured(value: msgspec.Struct) -> tuple[str, ...]:
    """The fields of a struct that hold, or once held, captured state."""
    match value:
        case StepStarted():
            return ("before",)
        case StepActed():
            return ("detail",)
        case StepRecord():
            return ("before", "detail")
        case _:
            return ()


def json_response(value: object, status: int = 200) -> Response:
    """A domain value as an answer."""
    return Response(msgspec.json.encode(plain(value)), status, media_type="application/json")
