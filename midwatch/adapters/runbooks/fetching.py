"""Fetching runbooks: only from named hosts, only public addresses, checked, and remembered with their ETag."""

import asyncio
import fnmatch
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import httpx2
import msgspec

from midwatch.adapters.runbooks.addresses import GitHubSite, check_address
from midwatch.adapters.web import Web
from midwatch.domain.errors import MidwatchError, NotFound, Permanent, Refused, Transient
from midwatch.domain.runbooks import MAX_BYTES, unfit
from midwatch.services.runtime import Clock

_FRESH = timedelta(minutes=5)
_KEPT = timedelta(days=1)
_MOST = 200
_TIMEOUT_S = 5.0

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The IP addresses of a host."""


class _Kept(msgspec.Struct, frozen=True):
    text: str
    etag: str
    at: datetime


class RunbookFetcher:
    """A :class:`~midwatch.services.runbooks.Fetcher`. ``token`` opens private repositories and goes to the API alone.

    ``hosts`` may be asked besides GitHub. ``repos`` (``owner/*``, ``owner/repo``) limits GitHub; empty: any repository
    the token, or everybody, can read. ``home`` hosts were named by the owner and may have private addresses.
    """

    def __init__(
        self,
        site: GitHubSite,
        clock: Clock,
        *,
        token: str = "",
        hosts: frozenset[str] = frozenset(),
        repos: Sequence[str] = (),
        home: frozenset[str] = frozenset(),
        lookup: Lookup | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._site, self._clock, self._token = site, clock, token
        self._repos = tuple(repo.lower() for repo in repos)
        self._home = home
        self._hosts = hosts | {httpx2.URL(url).host for url in (site.web, site.raw)} | {"www.github.com"}
        self._lookup = lookup or _addresses
        self._web = Web("the runbook's host", timeout_s=_TIMEOUT_S, limit=MAX_BYTES, transport=transport)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def __aenter__(self) -> "RunbookFetcher":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web.close()

    async def fetch(self, url: str) -> str:
        """The text. ``Refused`` for an address that may not be asked, ``NotFound``, ``Permanent`` for what is no
        runbook, ``Transient`` while the host is away and nothing was kept.
        """
        url = url.partition("#")[0].partition("?")[0]
        host = check_address(url, frozenset(self._hosts))
        kept = self._kept.get(url)
        now = self._clock.now()
        if kept is not None and now - kept.at < _FRESH:
            return kept.text
        try:
            fresh = await self._ask(url, host, kept)
        except Transient:
            if kept is not None and now - kept.at < _KEPT:
                return kept.text
            raise
        self._kept[url] = fresh
        self._kept.move_to_end(url)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return fresh.text

    async def _ask(self, url: str, host: str, kept: _Kept | None) -> _Kept:
        headers = {"If-None-Match": kept.etag} if kept is not None and kept.etag else {}
        params: dict[str, str | int | float] = {}
        file = self._site.file_of(url)
        if file is not None:
            if self._repos and not any(fnmatch.fnmatchcase(file.repository, repo) for repo in self._repos):
                raise Refused("runbook-repository", f"{file.repository} is not among MIDWATCH_RUNBOOK_REPOS")
            if self._token:
                url, params = self._site.api_url(file), {"ref": file.ref}
                headers |= {"Authorization": f"Bearer {self._token}", "Accept": "application/vnd.github.raw+json"}
            else:
                url = self._site.raw_url(file)
            host = httpx2.URL(url).host
        await self._check_public(host)
        page = await self._web.get(url, params or None, headers)
        if page.status == 304 and kept is not None:
            return msgspec.structs.replace(kept, at=self._clock.now())
        if page.status != 200:
            raise _failure(page.status)
        if why := unfit(page.body):
            raise Permanent(f"what stands there is no runbook: {why}")
        return _Kept(page.body.decode("utf-8"), page.headers.get("etag", ""), self._clock.now())

    async def _check_public(self, host: str) -> None:
        """A name on the list may still lead into the house: refuse what is not the open network."""
        if host in self._home:
            return
        try:
            addresses = await self._lookup(host)
        except OSError as error:
            raise Transient(f"{host} has no address now") from error
        if not addresses or not all(ipaddress.ip_address(address).is_global for address in addresses):
            raise Refused("runbook-address", f"{host} leads to an address that is not public")


async def _addresses(host: str) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


def _failure(status: int) -> MidwatchError:
    if status in (401, 403):
        return Permanent(f"the runbook's host refuses the credentials, or wants some ({status})")
    if status == 404:
        return NotFound("there is no such runbook, or it is private and GITHUB_TOKEN does not open it")
    if status == 429 or status >= 500:
        return Transient(f"the runbook's host answered {status}", 30.0)
    return Permanent(f"the runbook's host answered {status}")
