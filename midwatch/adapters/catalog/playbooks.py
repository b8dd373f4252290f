"""Playbook files: ``playbooks/*.yaml``, one playbook each, read strictly and proved by the examples they carry."""

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from midwatch.adapters.catalog.newest import Newest
from midwatch.adapters.catalog.yaml_source import Faults, Source, yaml_files
from midwatch.domain.checks import Scene, Standing, evaluate
from midwatch.domain.compiling import compile_plan
from midwatch.domain.errors import Refused
from midwatch.domain.playbooks import PROMQL, Plan
from midwatch.domain.reasons import Reason
from midwatch.domain.recipes import Example, Mode, Parameter, Playbook, RecipeStep, faults


class PlaybookFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One playbook as it stands in YAML; its id is the name of the file."""

    title: str
    applies_to: tuple[str, ...]
    steps: tuple[RecipeStep, ...] = ()
    examples: tuple[Example, ...] = ()
    description: str = ""
    parameters: dict[str, Parameter] = {}
    mode: Mode = Mode.LIVE
    each: bool = False
    checklist: tuple[str, ...] = ()


class Playbooks:
    """A set of playbooks, by id and by condition."""

    def __init__(self, playbooks: tuple[Playbook, ...]) -> None:
        self.all = playbooks
        self._by_id = {playbook.id: playbook for playbook in playbooks}

    @property
    def ids(self) -> frozenset[str]:
        """All ids, for rules that name them."""
        return frozenset(self._by_id)

    def get(self, playbook_id: str) -> Playbook | None:
        """The playbook of this id."""
        return self._by_id.get(playbook_id)

    def for_condition(self, condition: str) -> Playbook | None:
        """The playbook for a condition: an exact id before a pattern, the longest pattern first."""
        fitting = [
            (pattern == condition, len(pattern), playbook)
            for playbook in self.all
            for pattern in playbook.applies_to
            if fnmatchcase(condition, pattern)
        ]
        return max(fitting, key=lambda item: item[:2])[2] if fitting else None


def load_playbooks(folder: Path) -> Playbooks:
    """Every playbook of a folder. Raises :class:`Faults` with all faults of all files."""
    found: list[Playbook] = []
    problems: list[str] = []
    for path in yaml_files(folder):
        try:
            found.append(load_playbook(Source(path)))
        except Faults as error:
            problems += error.faults
    taken: dict[str, Playbook] = {}
    for playbook in found:
        for condition in playbook.applies_to:
            other = taken.setdefault(condition, playbook)
            if other is not playbook:
                problems.append(f"{playbook.where}: {condition} is taken by {other.id} already ({other.where})")
    if problems:
        raise Faults(tuple(problems))
    return Playbooks(tuple(found))


def load_playbook(source: Source) -> Playbook:
    """One playbook. Raises :class:`Faults` with every fault, the examples that do not hold among them."""
    parsed = source.convert(PlaybookFile)
    # Only where it is set: what was asked, or counted in shadow mode, of the others stays good.
    each = ("each",) if parsed.each else ()
    essence = msgspec.json.encode((parsed.steps, parsed.parameters, *each), order="deterministic")
    playbook = Playbook(
        id=source.path.stem,
        title=parsed.title,
        applies_to=parsed.applies_to,
        steps=parsed.steps,
        examples=parsed.examples,
        description=parsed.description,
        parameters=parsed.parameters,
        mode=parsed.mode,
        each=parsed.each,
        checklist=parsed.checklist,
        digest=hashlib.sha256(essence).hexdigest(),
        where=source.at(),
    )
    said = [f"{source.at(path)}: {sentence}" for path, sentence in faults(playbook)]
    if not said:
        for number, example in enumerate(playbook.examples):
            if sentence := disproof(playbook, example):
                said.append(f"{source.at(f'$.examples[{number}]')}: example {number + 1}: {sentence}")
    if said:
        raise Faults(tuple(said))
    return playbook


def disproof(playbook: Playbook, example: Example) -> str:
    """Why an example does not hold, empty when it does."""
    try:
        plan = _planned(playbook, example)
    except Refused as error:
        if example.expect.refused:
            wrong = error.reason != example.expect.refused
            return f"refused with {error.reason}, expected {example.expect.refused}" if wrong else ""
        return f"refused ({error.reason}: {error.message}), expected a plan"
    if example.expect.refused:
        return f"it makes a plan, expected to be refused with {example.expect.refused}"
    found = [step.params for step in plan.steps]
    wanted = [dict(params) for params in example.expect.steps]
    return "" if found == wanted else f"its steps get {found}, expected {wanted}"


def _planned(playbook: Playbook, example: Example) -> Plan:
    plan = compile_plan(playbook, example.given, example.parameters)
    for step in plan.steps:
        for check in (check for check in step.precheck if check.name != PROMQL):  # an example has no Prometheus
            result = evaluate(check, Scene(step.target, example.given, active=1))
            if result.standing is not Standing.HOLDING:
                raise Refused(Reason.PRECHECK_FAILED, result.sentence)
    return plan


class FolderPlaybooks(Newest[Playbooks]):
    """The playbooks of a folder in force. See :class:`Newest`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, load_playbooks)

    def get(self, playbook_id: str) -> Playbook | None:
        """The playbook of this id, in the newest good set."""
        return self.current().get(playbook_id)

    def for_condition(self, condition: str) -> Playbook | None:
        """The playbook for this condition, in the newest good set."""
        return self.current().for_condition(condition)

    @property
    def all(self) -> tuple[Playbook, ...]:
        """Every playbook in force."""
        return self.current().all
