"""A model's answers as typed values: read leniently, bounded in every length, believed in nothing."""

import json
import re
from typing import TypeVar

import msgspec

from midwatch.domain.errors import Invalid

_MOST, _LONGEST, _LINE = 20, 2_000, 300


class Cited(msgspec.Struct, frozen=True):
    """One piece of evidence: where it was seen, and the very words."""

    call_id: str = ""
    quote: str = ""
    line: int | None = None


class Named(msgspec.Struct, frozen=True):
    """An object as a model names it."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class Chosen(msgspec.Struct, frozen=True):
    name: str = ""
    value: str | int | float | bool = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model concludes. ``known`` is false where the cause was not found, or a hypothesis was refuted."""

    root_cause: str
    known: bool = True
    summary: str = ""
    title: str = ""
    confidence: float = 0.5
    condition: str = ""
    subject: Named | None = None
    evidence: tuple[Cited, ...] = ()
    factors: tuple[str, ...] = ()
    ruled_out: tuple[str, ...] = ()
    next_checks: tuple[str, ...] = ()
    recommended_action: str = ""
    prevention: str = ""
    playbook: str = ""
    parameters: tuple[Chosen, ...] = ()


class Hypothesis(msgspec.Struct, frozen=True):
    cause: str
    check: str = ""


class Hypotheses(msgspec.Struct, frozen=True):
    hypotheses: tuple[Hypothesis, ...] = ()


A = TypeVar("A")


def parse_answer(text: str) -> Answer:
    """The answer in a model's last word. Raises ``Invalid`` where there is none."""
    return bounded(_parse(text, Answer))


def parse_hypotheses(text: str, most: int) -> tuple[str, ...]:
    """At most so many different hypotheses, each as one text. Raises ``Invalid`` where there are none."""
    found = _parse(text, Hypotheses).hypotheses
    told = (f"{cut(item.cause, 500)}. To be seen by: {cut(item.check, 500)}" for item in found if item.cause.strip())
    return tuple(dict.fromkeys(told))[:most]


def bounded(answer: Answer) -> Answer:
    """The same answer with every text and list cut to a length that people read."""

    def many(items: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(cut(item, 500) for item in items if item.strip())[:_MOST]

    confidence = answer.confidence / 100 if 1 < answer.confidence <= 100 else answer.confidence
    return msgspec.structs.replace(
        answer,
        root_cause=cut(answer.root_cause, _LINE),
        summary=cut(answer.summary, _LONGEST),
        title=cut(answer.title, 160),
        confidence=min(1.0, max(0.0, confidence)) if confidence == confidence else 0.0,
        evidence=answer.evidence[:_MOST],
        factors=many(answer.factors),
        ruled_out=many(answer.ruled_out),
        next_checks=many(answer.next_checks),
        recommended_action=cut(answer.recommended_action, 1_000),
        prevention=cut(answer.prevention, 1_000),
        playbook=cut(answer.playbook, 100),
        parameters=answer.parameters[:_MOST],
    )


def cut(text: str, limit: int) -> str:
    """One paragraph of at most ``limit`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _parse(text: str, kind: type[A]) -> A:
    fault = "no JSON object in it"
    for candidate in _objects(text):
        try:
            return msgspec.json.decode(candidate, type=kind, strict=False)
        except (msgspec.MsgspecError, RecursionError) as error:
            fault = str(error)
    raise Invalid(f"the answer cannot be read: {fault}")


def _objects(text: str) -> list[str]:
    """What may be the object: the whole text, what stands in a code fence, and from the first brace to the last."""
    text = text.strip()
    fenced = re.findall(r"```(?:json)?\s*(\{.*?\})\s*```", text, re.DOTALL)
    first, last = text.find("{"), text.rfind("}")
    spans = [text[first : last + 1]] if 0 <= first < last else []
    return [item for item in (text, *reversed(fenced), *spans) if item.startswith("{")]


def _schema(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(of: dict[str, object]) -> dict[str, object]:
    return {"type": "array", "items": of}


_TEXT: dict[str, object] = {"type": "string"}
_MAYBE_LINE: dict[str, object] = {"anyOf": [{"type": "integer"}, {"type": "null"}]}

ANSWER_SCHEMA = json.dumps(
    _schema(
        {
            "known": {"type": "boolean"},
            "root_cause": _TEXT,
            "summary": _TEXT,
            "title": _TEXT,
            "confidence": {"type": "number"},
            "condition": _TEXT,
            "subject": _schema({"kind": _TEXT, "name": _TEXT, "namespace": _TEXT}),
            "evidence": _list(_schema({"call_id": _TEXT, "line": _MAYBE_LINE, "quote": _TEXT})),
            "factors": _list(_TEXT),
            "ruled_out": _list(_TEXT),
            "next_checks": _list(_TEXT),
            "recommended_action": _TEXT,
            "prevention": _TEXT,
            "playbook": _TEXT,
            "parameters": _list(_schema({"name": _TEXT, "value": _TEXT})),
        }
    )
)
"""Strict as providers ask for it: every field required, nothing beside them."""

HYPOTHESES_SCHEMA = json.dumps(_schema({"hypotheses": _list(_schema({"cause": _TEXT, "check": _TEXT}))}))
