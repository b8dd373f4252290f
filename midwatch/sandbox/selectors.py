"""Label and field selectors, parsed once and matched against a record's labels and fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from midwatch.sandbox.errors import bad_request
from midwatch.sandbox.objects import Obj
from midwatch.sandbox.schema import Resource

_SET = re.compile(r"\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s!=,()]+)\s*")


@dataclass(frozen=True, slots=True)
class Term:
    """One requirement: the value of ``key`` must be in ``values`` (None: any value), or must not be."""

    key: str
    values: frozenset[str] | None
    wanted: bool = True

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.key)
        holds = found is not None and (self.values is None or found in self.values)
        return holds is self.wanted

    def matches_field(self, fields: Mapping[str, str]) -> bool:
        """As :meth:`matches`; a field that is not set is the empty text."""
        return (fields.get(self.key, "") in (self.values or ())) is self.wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels and fields that must all hold. Empty: everything matches."""

    labels: tuple[Term, ...] = ()
    fields: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
        return all(term.matches(labels) for term in self.labels) and all(
            term.matches_field(fields) for term in self.fields
        )


def parse_selector(resource: Resource, labels: str, fields: str) -> Selector:
    """Both selectors of a request; 400 for what the API server would not parse or does not index."""
    return Selector(parse_labels(labels), _parse_fields(resource, fields))


def parse_labels(text: str) -> tuple[Term, ...]:
    """``app=web,tier!=cache,env in (a,b),!legacy``."""
    terms = []
    for part in re.split(r",(?![^()]*\))", text):
        if not part.strip():
            continue
        if match := _SET.fullmatch(part):
            values = frozenset(value.strip() for value in match[3].split(","))
            terms.append(Term(match[1], values, match[2] == "in"))
        elif match := _EQUAL.fullmatch(part):
            terms.append(Term(match[1], frozenset((match[3],)), match[2] != "!="))
        elif match := _EXISTS.fullmatch(part):
            terms.append(Term(match[2], None, match[1] != "!"))
        else:
            raise bad_request(f"unable to parse requirement: {part.strip()!r}")
    return tuple(terms)


def _parse_fields(resource: Resource, text: str) -> tuple[Term, ...]:
    known = {"metadata.name", *resource.fields} | ({"metadata.namespace"} if resource.namespaced else set())
    terms = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*", part)
        if not match:
            raise bad_request(f"invalid selector: {text!r}; can't understand {part!r}")
        if match[1] not in known:
            raise bad_request(f'field label not supported: "{match[1]}"')
        terms.append(Term(match[1], frozenset((match[3],)), match[2] != "!="))
    return tuple(terms)


def label_terms(selector: Obj | None) -> tuple[Term, ...]:
    """A ``LabelSelector`` of a spec (matchLabels and matchExpressions)."""
    if selector is None:
        return ()
    terms = [Term(key, frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or []:
        operator = expression["operator"]
        values = None if operator in ("Exists", "DoesNotExist") else frozenset(expression.get("values") or ())
        terms.append(Term(expression["key"], values, operator in ("In", "Exists")))
    return tuple(terms)


def labels_match(selector: Obj | None, labels: Mapping[str, str]) -> bool:
    """Whether a ``LabelSelector`` of a spec selects these labels; an empty one selects everything."""
    return all(term.matches(labels) for term in label_terms(selector))
