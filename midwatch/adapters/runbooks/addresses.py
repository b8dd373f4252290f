"""Where a runbook's address really leads: which host, which repository, and whether it may be asked at all. Pure."""

import re
from urllib.parse import quote, unquote, urlsplit

import msgspec

from midwatch.domain.errors import Refused

_ENDINGS = (".md", ".markdown", ".txt", ".rst", ".adoc")
_PART = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


class GitHubFile(msgspec.Struct, frozen=True):
    """A file of a repository at a branch, tag or commit."""

    owner: str
    repo: str
    ref: str
    path: str

    @property
    def repository(self) -> str:
        """``owner/repo``, lower case: GitHub does not tell them apart."""
        return f"{self.owner}/{self.repo}".lower()


class GitHubSite(msgspec.Struct, frozen=True):
    """GitHub itself, or a company's own: where people read files and where programs do."""

    web: str = "https://github.com"
    api: str = "https://api.github.com"
    raw: str = "https://raw.githubusercontent.com"

    def file_of(self, url: str) -> GitHubFile | None:
        """The file that a ``blob``, ``raw`` or raw-host address names; ``None`` when it is none of this site."""
        parts = urlsplit(url)
        steps = [unquote(step) for step in parts.path.split("/") if step]
        host = (parts.hostname or "").lower()
        if host == urlsplit(self.raw).hostname and self.raw != self.web:
            owner_repo, rest = steps[:2], steps[2:]
        elif host in (urlsplit(self.web).hostname, f"www.{urlsplit(self.web).hostname}"):
            if len(steps) < 3 or steps[2] not in ("blob", "raw"):
                return None
            owner_repo, rest = steps[:2], steps[3:]
        else:
            return None
        if rest[:2] in (["refs", "heads"], ["refs", "tags"]):
            rest = rest[2:]
        if len(owner_repo) != 2 or len(rest) < 2 or not all(_PART.match(part) for part in owner_repo):
            return None
        if any(step in (".", "..") or "/" in step for step in (*owner_repo, *rest)):
            return None
        return GitHubFile(owner_repo[0], owner_repo[1], rest[0], "/".join(rest[1:]))

    def api_url(self, file: GitHubFile) -> str:
        """Where the API tells its contents; ``ref`` is a parameter."""
        return f"{self.api}/repos/{file.owner}/{file.repo}/contents/{quote(file.path)}"

    def raw_url(self, file: GitHubFile) -> str:
        """Where everybody reads its contents, if it is public."""
        if self.raw == self.web:
            return f"{self.web}/{file.owner}/{file.repo}/raw/{quote(file.ref)}/{quote(file.path)}"
        return f"{self.raw}/{file.owner}/{file.repo}/{quote(file.ref)}/{quote(file.path)}"


def github_site(web: str) -> GitHubSite:
    """The site at an address people use: ``https://github.com``, or a GitHub Enterprise Server."""
    web = web.rstrip("/")
    return GitHubSite() if web == GitHubSite().web else GitHubSite(web, f"{web}/api/v3", web)


def check_address(url: str, hosts: frozenset[str]) -> str:
    """The host of an address that may be asked. Raises ``Refused`` naming the rule for every other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused("runbook-address", "not an address") from error
    host = (parts.hostname or "").lower()
    if parts.scheme != "https":
        raise Refused("runbook-address", "runbooks are read over https:// only")
    if parts.username or parts.password or port not in (None, 443):
        raise Refused("runbook-address", "no user, password or port belongs into the address")
    if host not in hosts:
        raise Refused("runbook-host", f"{host[:100]} is not among the hosts that runbooks may come from")
    if not parts.path.lower().endswith(_ENDINGS):
        raise Refused("runbook-address", f"a runbook ends in one of {', '.join(_ENDINGS)}")
    return host
