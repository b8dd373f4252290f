"""Conditions of admission webhooks and aggregated APIs: Services the API server itself depends on."""

from midwatch.domain.conditions.look import Look, shown
from midwatch.domain.conditions.services import endpoints
from midwatch.domain.objects.meta import condition
from midwatch.domain.objects.network import (
    APIService,
    MutatingWebhookConfiguration,
    Service,
    ValidatingWebhookConfiguration,
)
from midwatch.domain.refs import Severity


def configuration(look: Look, item: MutatingWebhookConfiguration | ValidatingWebhookConfiguration) -> None:
    """The Services behind admission webhooks."""
    for webhook in item.webhooks:
        wanted = webhook.client_config.service
        if wanted is None or not wanted.name or not look.view.sees("Service"):
            continue
        severity = Severity.WARNING if webhook.failure_policy == "Ignore" else None
        seen = [shown(item, f"webhooks[{webhook.name}]", f"{wanted.namespace}/{wanted.name}")]
        found = look.view.find(Service, wanted.namespace, wanted.name)
        if found is None:
            look.report(
                "WebhookServiceMissing",
                item,
                f"Webhook {webhook.name} calls service {wanted.name}, which is not found.",
                evidence=seen,
                severity=severity,
            )
        elif _deserted(look, found):
            look.report(
                "WebhookNoReceiver",
                item,
                f"Webhook {webhook.name} calls service {wanted.name}, which has no active pods.",
                evidence=seen,
                severity=severity,
            )


def _deserted(look: Look, item: Service) -> bool:
    """Whether nobody answers behind a Service with a selector."""
    if not item.spec.selector:
        return False
    ready, _ = endpoints(look, item)
    if ready is not None:
        return ready == 0
    return look.view.sees("Pod") and not look.view.pods_selected(item.namespace, item.spec.selector)


def api_service(look: Look, item: APIService) -> None:
    """An aggregated API that is away."""
    available = condition(item.status.conditions, "Available")
    if available is not None and available.status == "False":
        look.report(
            "APIServiceDown",
            item,
            f"The API is not available ({available.reason or 'no reason given'}).",
            since=available.last_transition_time,
            evidence=[shown(item, "status.conditions[Available]", f"{available.reason} {available.message}")],
        )
