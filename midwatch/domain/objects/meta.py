"""What every object has: metadata, owners, status conditions, label selectors."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec

from midwatch.domain.refs import ObjectRef

Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)] | None
"""An aware instant, or ``None`` where the object does not say."""
IntOrStr: TypeAlias = int | str
Quantity: TypeAlias = str | int | float


class Part(msgspec.Struct, frozen=True, rename="camel", gc=False, omit_defaults=True):
    """A piece of an object. Every field has a default: absence is not an error."""


class OwnerRef(Part, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Annotations(Part, frozen=True):
    """The few annotations that matter here; the rest, often megabytes, is never kept."""

    revision: str = msgspec.field(name="deployment.kubernetes.io/revision", default="")
    ingress_class: str = msgspec.field(name="kubernetes.io/ingress.class", default="")
    default_class: str = msgspec.field(name="storageclass.kubernetes.io/is-default-class", default="")
    default_ingress: str = msgspec.field(name="ingressclass.kubernetes.io/is-default-class", default="")
    leader: str = msgspec.field(name="control-plane.alpha.kubernetes.io/leader", default="")
    change_cause: str = msgspec.field(name="kubernetes.io/change-cause", default="")
    runbook_url: str = ""


class Meta(Part, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time = None
    deletion_timestamp: Time = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: Annotations = Annotations()
    owner_references: tuple[OwnerRef, ...] = ()
    finalizers: tuple[str, ...] = ()


class StatusCondition(Part, frozen=True):
    """One entry of ``status.conditions``; ``status`` is True, False, Unknown or whatever the writer thought of."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: Time = None
    last_update_time: Time = None


class Requirement(Part, frozen=True):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class Selector(Part, frozen=True):
    """A label selector. An empty one selects everything, as in Kubernetes."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            _meets(requirement, labels) for requirement in self.match_expressions
        )

    def __str__(self) -> str:
        parts = [f"{key}={value}" for key, value in self.match_labels.items()]
        return ",".join(
            [*parts, *(f"{item.key} {item.operator} {'|'.join(item.values)}" for item in self.match_expressions)]
        )


class NamedRef(Part, frozen=True):
    """A reference to another object of a known kind in the same namespace."""

    name: str = ""
    namespace: str = ""
    kind: str = ""
    optional: bool | None = None


class Base(msgspec.Struct, frozen=True, rename="camel", gc=False, omit_defaults=True):
    """Any object: its kind and its metadata."""

    kind: str = ""
    metadata: Meta = Meta()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.metadata.name, self.metadata.namespace, self.metadata.uid)


def condition(conditions: Iterable[StatusCondition], type_: str) -> StatusCondition | None:
    """The condition of this type, or ``None``; where a broken writer left several, the worst (not ``True``) counts."""
    found = [item for item in conditions if item.type == type_]
    return next((item for item in found if item.status != "True"), found[0] if found else None)


def _meets(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
