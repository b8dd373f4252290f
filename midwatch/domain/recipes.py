"""Playbooks as written: steps with typed parameters, checks and undo, and what makes one of them unsound."""

import math
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from midwatch.domain.actions import ACTIONS, RESTORE
from midwatch.domain.objects.quantities import quantity
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import CHECKS, PROMQL, Check, OnFailure, Risk

_WHOLE = ("replicas", "previous_revision")
"""What is live and a whole number by itself."""
LIVE = ("failing_container", "memory_limit", "memory_request", "cpu_limit", "previous_revision", "replicas", "storage")
"""What a step may take from the live object itself; see :func:`midwatch.domain.compiling.live_value`."""


PLACES = ("namespace", "name", "kind")
"""What a PromQL query may take from the target, written with a dollar sign."""
_PLACE = re.compile(r"\$(\w+)")


class Kind(StrEnum):
    """Type of a parameter. A quantity is written as Kubernetes does: ``512Mi``, ``500m``."""

    INTEGER = "integer"
    NUMBER = "number"
    QUANTITY = "quantity"
    NAME = "name"


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person or an analysis may choose, within bounds. Without a default it must be given."""

    type: Kind
    description: str = ""
    default: str | int | float | None = None
    minimum: str | int | float | None = None
    maximum: str | int | float | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that is not written out: a parameter, or something ``live``.

    ``times``, ``plus`` and ``at_most`` name parameters that it is multiplied by, raised by and capped at.
    """

    parameter: str = ""
    live: str = ""
    times: str = ""
    plus: str = ""
    at_most: str = ""


Value: TypeAlias = str | int | Taken


class RecipeStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step. ``no_undo`` says why a step without undo may be left as it is.

    A step that is not ``required`` may fail without ending the plan. ``on_failure``: ``undo`` takes back everything
    the plan did, ``keep`` leaves it for a person.
    """

    action: str
    risk: Risk
    params: dict[str, Value] = {}
    precheck: tuple[Check, ...] = ()
    verify: tuple[Check, ...]
    undo: str = ""
    no_undo: str = ""
    required: bool = True
    on_failure: OnFailure = OnFailure.UNDO


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an example leads to: the parameters of each step, or the reason of a refusal."""

    steps: tuple[dict[str, str | int], ...] = ()
    refused: str = ""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A proof carried by the playbook: this object and these parameters give that plan."""

    given: Observed
    parameters: dict[str, str] = {}
    expect: Expected


class Mode(StrEnum):
    """LIVE: acts as policy allows. SHADOW: only says what it would do, and is scored. CHECKLIST: a person acts."""

    LIVE = "live"
    SHADOW = "shadow"
    CHECKLIST = "checklist"


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """A playbook as loaded; ``digest`` is SHA-256 of what it does, so that an edit voids what was asked before.

    Without any condition in ``applies_to`` it is used only where a rule or a report names it. A playbook of mode
    ``checklist`` has no steps: there is no safe act, and a person is told what to do, point by point. With ``each`` the
    plan has the steps for every object of the incident that is in the same trouble, not for one.
    """

    id: str
    title: str
    applies_to: tuple[str, ...]
    steps: tuple[RecipeStep, ...]
    examples: tuple[Example, ...]
    description: str = ""
    parameters: dict[str, Parameter] = {}
    mode: Mode = Mode.LIVE
    each: bool = False
    checklist: tuple[str, ...] = ()
    digest: str = ""
    where: str = ""

    @property
    def risk(self) -> Risk:
        """The highest risk of its steps."""
        return max((step.risk for step in self.steps), key=lambda risk: risk.rank, default=Risk.LOW)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of objects the first step may be done to; all steps share the target."""
        return ACTIONS[self.steps[0].action].kinds if self.steps else ()


def faults(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Everything unsound about a playbook, each as (path within the file, sentence)."""
    if playbook.mode is Mode.CHECKLIST:
        yield from _checklist_faults(playbook)
        return
    if playbook.checklist:
        yield "$.checklist", "only a playbook of mode checklist has one"
    if not playbook.steps:
        yield "$.steps", "a playbook needs at least one step"
    if not playbook.examples:
        yield "$", "it has no examples: give one that plans and one that is refused"
    if playbook.each and playbook.risk is not Risk.LOW:
        yield "$.each", "only steps of LOW risk may be done to several objects at once"
    if playbook.each and not all(step.action in ACTIONS and ACTIONS[step.action].by_uid for step in playbook.steps):
        yield "$.each", "only what deletes objects is done to several at once: whether that helped can be told of each"
    for name, parameter in playbook.parameters.items():
        yield from ((f"$.parameters.{name}", said) for said in _parameter_faults(name, parameter))
    if playbook.steps and not any(step.required for step in playbook.steps):
        yield "$.steps", "at least one step is required: else nothing would have to help"
    kinds: set[str] | None = None
    for number, step in enumerate(playbook.steps):
        where = f"$.steps[{number}]"
        action = ACTIONS.get(step.action)
        if action is None:
            yield f"{where}.action", f"unknown action {step.action!r}; known are {', '.join(sorted(ACTIONS))}"
            continue
        kinds = set(action.kinds) if kinds is None else kinds & set(action.kinds)
        yield from ((f"{where}{path}", said) for path, said in _step_faults(step, playbook))
    if kinds is not None and not kinds:
        yield "$.steps", "its actions share no kind of object: one playbook works on one object"


def _checklist_faults(playbook: Playbook) -> Iterator[tuple[str, str]]:
    if playbook.steps or playbook.parameters or playbook.examples:
        yield "$.mode", "a checklist has no steps, parameters or examples: it is for people"
    if not playbook.checklist or not all(item.strip() for item in playbook.checklist):
        yield "$.checklist", "a checklist has at least one point, none of them empty"


def _step_faults(step: RecipeStep, playbook: Playbook) -> Iterator[tuple[str, str]]:
    action = ACTIONS[step.action]
    if step.risk.rank < action.floor.rank:
        yield ".risk", f"{step.action} is at least {action.floor}, not {step.risk}"
    if step.undo not in ("", RESTORE):
        yield ".undo", f"unknown undo {step.undo!r}; the one there is, is {RESTORE!r}"
    if step.undo and not action.restorable:
        yield ".undo", f"{step.action} leaves nothing to restore: leave undo out and say why in no_undo"
    if step.risk is Risk.HIGH and not step.undo:
        yield ".risk", "a step of HIGH risk needs an undo"
    if step.on_failure is OnFailure.KEEP and step.risk is Risk.HIGH:
        yield ".on_failure", "what a step of HIGH risk did is taken back when it fails"
    if not step.undo and not step.no_undo:
        yield "", "a step without undo says why in no_undo"
    if not step.verify:
        yield ".verify", "a step that is not verified is not done: name at least one check"
    for part, checks in (("precheck", step.precheck), ("verify", step.verify)):
        for position, check in enumerate(checks):
            if check.name not in CHECKS:
                yield f".{part}[{position}].name", f"unknown check {check.name!r}; known are {', '.join(CHECKS)}"
            yield from ((f".{part}[{position}]", said) for said in _check_faults(check))
            if not 0 <= check.hold_s <= check.timeout_s <= 3600:
                yield f".{part}[{position}]", "0 <= hold_s <= timeout_s <= 3600 must hold"
    for name in sorted(set(action.required) - set(step.params)):
        yield ".params", f"{step.action} needs parameter {name!r}"
    for name, value in step.params.items():
        if name not in action.params:
            yield f".params.{name}", f"{step.action} takes no parameter {name!r}"
        elif isinstance(value, Taken):
            yield from ((f".params.{name}", said) for said in _taken_faults(value, playbook, action.params[name]))
        elif not isinstance(value, action.params[name]):
            yield f".params.{name}", f"{name!r} must be of type {action.params[name].__name__}"


def _parameter_faults(name: str, parameter: Parameter) -> Iterator[str]:
    if parameter.type is not Kind.NAME and parameter.maximum is None:
        yield f"parameter {name!r} has no maximum: say how far it may go"
    for bound in (parameter.minimum, parameter.maximum):
        size = quantity(bound)
        if bound is not None and (size is None or not math.isfinite(size)):
            yield f"parameter {name!r} is bounded by {bound!r}, which is no finite number or quantity"


def _check_faults(check: Check) -> Iterator[str]:
    bounds = [bound for bound in (check.at_least, check.at_most) if bound is not None]
    if check.name != PROMQL:
        if check.query or bounds:
            yield f"query, at_least and at_most belong to {PROMQL}, not to {check.name}"
        return
    if not all(math.isfinite(bound) for bound in bounds):
        yield "at_least and at_most are finite numbers: nothing lies outside of others"
    if not check.query or not bounds:
        yield f"{PROMQL} needs a query, and at_least or at_most"
    if unknown := sorted(set(_PLACE.findall(check.query)) - set(PLACES)):
        yield f"nothing is called ${unknown[0]} in a query; there are {', '.join(f'${name}' for name in PLACES)}"


def _taken_faults(value: Taken, playbook: Playbook, kind: type) -> Iterator[str]:
    if bool(value.parameter) == bool(value.live):
        yield "name either a parameter or something live"
    if value.live and value.live not in LIVE:
        yield f"nothing live is called {value.live!r}; there are {', '.join(LIVE)}"
    for name in filter(None, (value.parameter, value.times, value.plus, value.at_most)):
        if name not in playbook.parameters:
            yield f"unknown parameter {name!r}"
    reckoned = [name for name in (value.times, value.plus, value.at_most) if name]
    names = [name for name, parameter in playbook.parameters.items() if parameter.type is Kind.NAME]
    for name in reckoned:
        if name in names:
            yield f"parameter {name!r} is a name: nothing can be reckoned with it"
    if (kind is int or reckoned) and (value.parameter in names or value.live == "failing_container"):
        yield f"{value.parameter or value.live!r} is a name, and a number is needed"
    elif kind is int and not reckoned:
        given = playbook.parameters.get(value.parameter)
        if (value.live in LIVE and value.live not in _WHOLE) or (given is not None and given.type is Kind.QUANTITY):
            yield f"{value.parameter or value.live!r} is a quantity, and a whole number is needed"
