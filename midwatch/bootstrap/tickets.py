"""Ticket systems, as far as they are configured."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from midwatch.adapters.tickets.gitlab import GitLabTickets
from midwatch.adapters.tickets.http import TicketHttp
from midwatch.adapters.tickets.webhook import WebhookTickets
from midwatch.bootstrap import Resources
from midwatch.services.tickets import Tickets, TicketSystem


@asynccontextmanager
async def open_tickets(resources: Resources) -> AsyncIterator[tuple[Tickets, ...]]:
    """One :class:`Tickets` a system; none where none is set."""
    settings, stores = resources.settings, resources.stores
    async with AsyncExitStack() as stack:
        systems: list[TicketSystem] = []
        if settings.gitlab_url and settings.gitlab_token:
            headers = {"PRIVATE-TOKEN": settings.gitlab_token.get_secret_value()}
            http = TicketHttp("GitLab", headers=headers)
            stack.push_async_callback(http.close)
            url, oncall = settings.gitlab_url, settings.gitlab_oncall
            systems.append(GitLabTickets(http, url, settings.gitlab_project, oncall=oncall))
        if settings.ticket_webhook_url and settings.ticket_webhook_secret:
            http = TicketHttp("the ticket webhook")
            stack.push_async_callback(http.close)
            secret = settings.ticket_webhook_secret.get_secret_value()
            url = settings.ticket_webhook_url.get_secret_value()
            systems.append(WebhookTickets(http, url, secret, resources.clock))
        yield tuple(
            Tickets(stores.journal, stores.cards, system, resources.clock, least=settings.ticket_severity)
            for system in systems
        )
