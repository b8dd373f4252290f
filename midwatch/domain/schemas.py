"""Whether a JSON value has the form that was asked for: the part of JSON Schema that answers of models need.

Knows ``type``, ``properties``, ``required``, ``additionalProperties: false``, ``items``, ``enum``, ``const``,
``anyOf``, ``minItems``, ``maxItems``, ``minimum``, ``maximum`` and local ``$ref``; other words are not checked.
"""

from collections.abc import Iterator, Mapping

import msgspec

from midwatch.domain.errors import Invalid

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_DEEPEST = 40


def misfit(text: str, schema: str) -> str:
    """Why ``text`` is no JSON of the form ``schema`` (JSON Schema as text); empty when it is."""
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return f"it is not JSON: {error}"
    return next(_faults(value, parsed(schema), parsed(schema), "$", 0), "")


def parsed(schema: str) -> dict[str, object]:
    """The schema as an object. Raises ``Invalid``."""
    try:
        return msgspec.json.decode(schema, type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"the schema of the answer is not a JSON object: {error}") from error


def _faults(value: object, schema: object, root: Mapping[str, object], at: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _faults(value, _target(reference, root), root, at, depth + 1)
        return
    if (wanted := schema.get("type")) is not None and not _is_of(value, wanted):
        yield f"{at} must be {wanted}"
        return
    if isinstance(choices := schema.get("enum"), list) and value not in choices:
        yield f"{at} must be one of {choices}"
    if "const" in schema and value != schema["const"]:
        yield f"{at} must be {schema['const']!r}"
    if isinstance(options := schema.get("anyOf"), list) and not any(
        next(_faults(value, option, root, at, depth + 1), None) is None for option in options
    ):
        yield f"{at} fits none of the forms that are allowed"
    if isinstance(value, dict):
        yield from _object(value, schema, root, at, depth)
    elif isinstance(value, list):
        yield from _array(value, schema, root, at, depth)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        if (isinstance(low, int | float) and value < low) or (isinstance(high, int | float) and value > high):
            yield f"{at} is out of its range"


def _object(
    value: dict[str, object], schema: dict[str, object], root: Mapping[str, object], at: str, depth: int
) -> Iterator[str]:
    known = schema.get("properties")
    properties: dict[str, object] = known if isinstance(known, dict) else {}
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if name not in value:
            yield f"{at}.{name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from _faults(item, properties[name], root, f"{at}.{name}", depth + 1)
        elif schema.get("additionalProperties") is False:
            yield f"{at}.{name} is not allowed"


def _array(
    value: list[object], schema: dict[str, object], root: Mapping[str, object], at: str, depth: int
) -> Iterator[str]:
    low, high = schema.get("minItems"), schema.get("maxItems")
    if (isinstance(low, int) and len(value) < low) or (isinstance(high, int) and len(value) > high):
        yield f"{at} has {len(value)} items"
    for index, item in enumerate(value):
        yield from _faults(item, schema.get("items"), root, f"{at}[{index}]", depth + 1)


def _is_of(value: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        return any(_is_of(value, each) for each in wanted)
    if isinstance(value, bool):
        return wanted == "boolean"
    kind = _TYPES.get(str(wanted))
    return kind is None or isinstance(value, kind)


def _target(reference: str, root: Mapping[str, object]) -> object:
    here: object = root
    for part in reference.removeprefix("#/").split("/"):
        here = here.get(part) if isinstance(here, dict) else None
    return here
