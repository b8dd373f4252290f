"""``.mcp-config.json``: the ``mcpServers`` form that people know, read strictly, with a few keys of our own."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from midwatch.adapters.mcp.profiles import PROFILES
from midwatch.domain.errors import Invalid
from midwatch.domain.servers import ServerState

BUILT_IN = "kubernetes"
"""The name of our own server; an entry of that name may limit it, or switch it off."""

_MAX_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}\Z")
_TOOL = re.compile(r"[A-Za-z0-9_./-]{1,128}\Z")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,24}\Z")
_SECRET_KEY = re.compile(r"(?i)authorization|cookie|token|secret|passw|api[-_]?key|credential")
_REFERENCE = re.compile(r"\$\{(?:env|file):[^}]+\}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Transport = Literal["stdio", "streamable-http", "sse"]
Resolve = Callable[[str], str]


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One server. Secrets stand as ``${env:NAME}`` or ``${file:PATH}`` in ``env`` and ``headers``.

    ``allow`` names the tools a model may call; without it the pinned list of ``profile`` holds. ``timeout`` is in
    seconds. ``read_only`` keeps out what the server itself calls destructive, even where it is allowed. ``clusters``
    are the watched clusters that it looks at, ``*`` for all; without any it is the first one.
    """

    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str = ""
    url: str = ""
    type: Literal["", "stdio", "http", "streamable-http", "sse"] = ""
    headers: dict[str, str] = {}
    allow: tuple[str, ...] = ()
    profile: str = ""
    read_only: bool = True
    tool_prefix: str | None = None
    timeout: float = 30.0
    state: Literal["", "maintenance", "vulnerable"] = ""
    disabled: bool = False
    clusters: tuple[str, ...] = ()

    def looks_at(self, cluster: str, *, first: bool) -> bool:
        """Whether it may be asked about this cluster; ``first``: it is the house's first one."""
        return first if not self.clusters else cluster in self.clusters or "*" in self.clusters

    @property
    def transport(self) -> Transport:
        """How it is reached."""
        if self.command:
            return "stdio"
        return "sse" if self.type == "sse" else "streamable-http"

    @property
    def internal(self) -> bool:
        """Whether it runs on this machine."""
        return bool(self.command) or urlsplit(self.url).hostname in _LOOPBACK

    @property
    def wanted_state(self) -> ServerState:
        """The state it begins in: a person's word, else healthy until a probe says otherwise."""
        return ServerState(self.state) if self.state else ServerState.HEALTHY

    @property
    def allowed(self) -> frozenset[str]:
        """The tools that may be offered: the owner's list, else the pinned one of its profile, else none."""
        return frozenset(self.allow) if self.allow else PROFILES.get(self.profile or self.guessed, frozenset())

    @property
    def guessed(self) -> str:
        """The profile that the command line names (``npx -y mcp-grafana@1.2``); nothing is guessed from a URL."""
        words = (re.sub(r"(?<=.)@[^/@]*\Z", "", word) for word in (self.command, *self.args))
        return next((name for word in words if (name := word.rpartition("/")[2]) in PROFILES), "")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mcpServers: dict[str, ServerConfig] = {}  # noqa: N815  the name everybody writes


def read_config(path: Path) -> dict[str, ServerConfig]:
    """The servers of a file, by name; none when there is no file. Raises ``Invalid`` with file and key."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Invalid(f"{path}: cannot be read ({type(error).__name__})") from error
    return parse_config(data, str(path))


def parse_config(data: bytes, where: str) -> dict[str, ServerConfig]:
    """As :func:`read_config`, from bytes."""
    if len(data) > _MAX_BYTES:
        raise Invalid(f"{where}: larger than {_MAX_BYTES} bytes")
    try:
        servers = msgspec.json.decode(data, type=_File).mcpServers
    except msgspec.DecodeError as error:
        message, _, key = str(error).partition(" - at `")
        raise Invalid(f"{where}: {key.rstrip('`').removeprefix('$.') or 'the file'}: {message}") from error
    faults = [
        f"{where}: mcpServers.{name}{fault}" for name, server in servers.items() for fault in _faults(name, server)
    ]
    if faults:
        raise Invalid("\n".join(faults))
    return servers


def _faults(name: str, server: ServerConfig) -> list[str]:
    found: list[str] = []
    if not _NAME.match(name):
        found.append(": a name is up to 40 letters, digits, '_', '.' or '-'")
    if name == BUILT_IN:
        if server.command or server.url:
            found.append(": is our own server; give another one a name of its own")
        if server.clusters:
            found.append(".clusters: there is one of our own server for each cluster")
    elif bool(server.command) == bool(server.url):
        found.append(": needs either command or url")
    if server.command and server.type not in ("", "stdio"):
        found.append(".type: a command is reached over stdio")
    if server.url:
        found += _url_faults(server)
    if not server.command and (server.args or server.env or server.cwd):
        found.append(": args, env and cwd belong to a command")
    if server.command and server.headers:
        found.append(".headers: belong to a url")
    if not 1 <= server.timeout <= 300:
        found.append(".timeout: between 1 and 300 seconds")
    if server.profile and server.profile not in PROFILES:
        found.append(f".profile: unknown; there are {', '.join(sorted(PROFILES))}")
    if server.tool_prefix is not None and not _PREFIX.match(server.tool_prefix):
        found.append(".toolPrefix: up to 24 letters, digits, '_' or '-'")
    found += [f".allow[{i}]: not a tool's name" for i, tool in enumerate(server.allow) if not _TOOL.match(tool)]
    for part, pairs in (("env", server.env), ("headers", server.headers)):
        found += [
            f".{part}.{key}: a secret stands here by reference only: ${{env:NAME}} or ${{file:PATH}}"
            for key, value in pairs.items()
            if value and _SECRET_KEY.search(key) and not _REFERENCE.search(value)
        ]
    return found


def _url_faults(server: ServerConfig) -> list[str]:
    try:
        parts = urlsplit(server.url)
        port = parts.port
    except ValueError:
        return [".url: not an address"]
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return [".url: must begin with http:// or https:// and name a host"]
    if parts.username or parts.password:
        return [".url: user and password do not belong here; use headers, by reference"]
    if parts.scheme == "http" and server.headers and not server.internal and _secret(server.headers):
        return [".url: a secret is not sent over http:// to another machine; use https://"]
    return [".type: stdio needs a command"] if server.type == "stdio" else []


def _secret(headers: Mapping[str, str]) -> bool:
    return any(_REFERENCE.search(value) for value in headers.values())
