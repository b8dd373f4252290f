"""Conditions of images that do not come: which of the many reasons it is, read from what kubelet and registry say."""

import re
from datetime import datetime

from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.objects.pods import ContainerStatus, Pod

_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ErrInvalidImage",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)

_CAUSES = (
    (
        re.compile(r"(?i)toomanyrequests|rate limit|429"),
        "RateLimited",
        "The registry answers that too many pulls were made.",
    ),
    (
        re.compile(r"(?i)invalid reference format|couldn't parse image|InvalidImageName"),
        "InvalidName",
        "The image reference cannot be parsed.",
    ),
    (
        re.compile(
            r"(?i)manifest unknown|manifest for .* not found|: not found|name unknown|no such manifest|no match for "
        ),
        "NotFound",
        "The registry has no such image or tag.",
    ),
    (
        re.compile(r"(?i)unauthori[sz]ed|authentication required|denied|insufficient_scope|forbidden|40[13]"),
        "Unauthorized",
        "The registry refuses: the repository does not exist, or credentials (a pull secret) are missing.",
    ),
    (
        re.compile(
            r"(?i)i/o timeout|timeout|no such host|connection refused|tls|x509|network is unreachable|deadline exceeded"
            r"|EOF|connection reset|server misbehaving|50[0-9] "
        ),
        "Unreachable",
        "The registry does not answer as it should.",
    ),
)


def is_image_trouble(reason: str) -> bool:
    """Whether a waiting reason speaks of the image."""
    return reason in _REASONS


def cause(text: str) -> tuple[str, str]:
    """The condition's id and a sentence for what is said about a failed pull."""
    for pattern, suffix, sentence in _CAUSES:
        if pattern.search(text):
            return f"ImagePullBackOff/{suffix}", sentence
    return "ImagePullBackOff", "The kubelet cannot pull it."


def report(look: Look, item: Pod, status: ContainerStatus, reason: str, message: str, since: datetime | None) -> None:
    """A container waits for its image."""
    events = look.warnings(item, "Failed", "InspectFailed", "ErrImageNeverPull")
    about = [event for event in events if "image" in event.text.lower()]
    said = " ".join([message, *(event.text for event in about)])
    id_, sentence = cause(said)
    if reason == "InvalidImageName":
        id_, sentence = "ImagePullBackOff/InvalidName", "The image reference cannot be parsed."
    elif reason == "ErrImageNeverPull":
        id_, sentence = "ErrImageNeverPull", "It may not be pulled and is not on the node."
    image = next(
        (spec.image for spec in item.spec.containers + item.spec.init_containers if spec.name == status.name), ""
    )
    look.report(
        id_,
        item,
        f"Container {status.name} waits for image {image or '(unnamed)'}, the pull fails. {sentence}",
        since=since,
        evidence=[
            shown(item, f"status.containerStatuses[{status.name}].state.waiting", f"{reason} {message}".strip()),
            *(told(event) for event in about[-2:]),
        ],
    )
