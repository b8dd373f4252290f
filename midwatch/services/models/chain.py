"""The middleware chain: ``before`` by rising priority, ``after`` by falling, failures judged by the critical flag."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import msgspec

from midwatch.domain.dialogue import ModelReply, ModelRequest
from midwatch.domain.errors import MidwatchError, Permanent, Refused
from midwatch.services.models.ports import AnswerUnfit, Middleware

log = logging.getLogger(__name__)

Ask: TypeAlias = Callable[[ModelRequest], Awaitable[ModelReply]]


class Link(msgspec.Struct, frozen=True):
    """A layer in its place."""

    name: str
    priority: int
    critical: bool
    middleware: Middleware


class Chain:
    """The active layers round a call."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.links = tuple(sorted(links, key=lambda link: link.priority))

    def retry_in(self, error: Exception, attempt: int) -> float | None:
        """The longest wait a layer asks for; ``None`` when none wants another attempt."""
        waits = [link.middleware.retry_in(error, attempt) for link in self.links]
        return max((wait for wait in waits if wait is not None), default=None)

    async def run(self, request: ModelRequest, ask: Ask) -> ModelReply:
        """The reply of ``ask``, or of the first layer that answers by itself. Layers before it see it go back."""
        begun: list[tuple[Link, ModelRequest]] = []
        try:
            answer: ModelRequest | ModelReply = request
            for link in self.links:
                given = request
                try:
                    answer = await link.middleware.before(given)
                except Exception as error:  # noqa: BLE001  a layer may be anybody's: judged by its flag
                    _judge(link, error)
                    continue
                begun.append((link, given))
                if isinstance(answer, ModelReply):
                    break
                request = answer
            reply = answer if isinstance(answer, ModelReply) else await ask(request)
            while begun:
                link, given = begun[-1]
                try:
                    reply = await link.middleware.after(given, reply)
                except Exception as error:  # noqa: BLE001  a layer may be anybody's: judged by its flag
                    _judge(link, error)
                begun.pop()
            return reply
        except BaseException as error:
            for link, given in reversed(begun):
                await _tell(link, given, error)
            raise


def _judge(link: Link, error: Exception) -> None:
    """Raise what ends the call; log what does not."""
    if isinstance(error, Refused | AnswerUnfit):
        raise error
    if link.critical:
        if isinstance(error, MidwatchError):
            raise error
        raise Permanent(f"the middleware {link.name!r} failed: {type(error).__name__}") from error
    log.warning("middleware failed and was skipped", exc_info=error, extra={"middleware": link.name})


async def _tell(link: Link, given: ModelRequest, error: BaseException) -> None:
    try:
        await link.middleware.failed(given, error)
    except Exception as second:  # the first error is the one to be told
        log.warning("middleware failed at letting go", exc_info=second, extra={"middleware": link.name})
