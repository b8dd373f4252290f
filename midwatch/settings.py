"""Settings: the only reader of the environment.

Every field is one variable ``MIDWATCH_<NAME>`` (a few older unprefixed names are honoured, see the aliases). Unknown
``MIDWATCH_*`` variables are refused at start, because a typing error in a setting must not pass silently.
"""

import difflib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from midwatch.channel_settings import ChannelSettings
from midwatch.domain.errors import Invalid
from midwatch.domain.refs import Severity
from midwatch.model_settings import ModelSettings
from midwatch.setting_names import PREFIX, also_plain, with_prefix

_LISTS = ("watch_namespaces", "channels", "webhook_urls", "contexts", "cluster_aliases", "cors_origins")
Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
ROOT = Path(__file__).resolve().parent.parent


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "midwatch"


@dataclass(frozen=True, kw_only=True)
class ClusterTarget:
    """How to reach one cluster. ``first``: the one that ``context``, ``in_cluster`` or the sandbox stands for."""

    name: str
    kubeconfig: Path | None = None
    context: str = ""
    in_cluster: bool = False
    first: bool = False


class Settings(ModelSettings, ChannelSettings, BaseSettings):
    """Everything a person may set. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True)

    state_dir: Path = Field(default_factory=_default_state_dir)
    """Where embedded stores, tokens and logs live. Kept across restarts."""
    rules_dir: Path = ROOT / "rules"
    playbooks_dir: Path = ROOT / "playbooks"
    policy_file: Path = ROOT / "cluster_config" / "policy.yaml"
    people_file: Path = ROOT / "cluster_config" / "people.yaml"
    """On-call rota, teams, routes and quiet hours."""

    database_url: SecretStr | None = Field(None, validation_alias=with_prefix("DATABASE_URL"))
    """``postgresql://…``; unset: an embedded PostgreSQL 16 in the state directory."""
    redis_url: SecretStr | None = Field(None, validation_alias=with_prefix("REDIS_URL"))
    """``redis://…``, ``rediss://…`` or ``unix://…``; unset: an embedded Valkey."""
    database_pool: int = Field(4, ge=1, le=100)
    """Connections per process."""

    host: str = "127.0.0.1"
    """Where the edge listens; anything but loopback must be asked for."""
    port: int = Field(8420, ge=1, le=65535)
    ray_address: str = ""
    """Join this Ray cluster (``host:port``); empty: start one on loopback for this machine."""
    ray_auth_token_path: Path | None = Field(None, validation_alias=also_plain("RAY_AUTH_TOKEN_PATH"))
    """File with the token of the Ray cluster that is joined; unset: one of our own in the state directory."""
    dashboard_port: int = Field(8265, ge=1, le=65535)
    replicas: int = Field(1, ge=1, le=64)
    """Replicas of the HTTP edge."""
    api_token: SecretStr | None = None
    """Bearer token of the API; unset: one is generated on first start and kept 0600 in the state directory."""
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    inbox_limit: int = Field(20_000, ge=1)
    """Unsettled signals above which webhooks answer 503, so that the sender keeps and repeats them."""

    alertmanager_url: SecretStr | None = None
    """``http(s)://…`` of the Alertmanager that sends to us, asked for the alerts that its ``max_alerts`` left out of a
    body; unset: nobody is asked. It may carry user and password."""

    mcp_config: Path = Path(".mcp-config.json")
    """MCP servers beside our own, in the ``mcpServers`` form; read again when it changes. No file: our own alone."""

    prometheus_url: SecretStr | None = None
    """``http(s)://…`` before ``/api/v1``, asked for numbers around an incident and for checks; may carry user and
    password. Unset: nothing is measured."""
    prometheus_token: str = ""
    """Where its bearer token stands: ``${env:NAME}`` or ``${file:PATH}``; never the token itself."""
    loki_url: SecretStr | None = None
    """``http(s)://…`` before ``/loki/api/v1``, asked for log lines around an incident; may carry user and password."""
    loki_token: str = ""
    loki_tenant: str = ""
    enrichment_file: Path = ROOT / "rules" / "enrichment" / "prometheus.yaml"
    enrich_s: float = Field(0.8, gt=0, le=30)
    """How long the first report waits for Prometheus and Loki together."""

    runbooks_dir: Path = ROOT / "rules" / "runbooks"
    runbook_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts besides GitHub whose runbooks may be fetched where an alert names them: https, public addresses only."""
    runbook_repos: Annotated[tuple[str, ...], NoDecode] = ()
    """``owner/repo`` or ``owner/*`` that runbooks may come from; empty: any repository that can be read."""
    github_token: SecretStr | None = Field(None, validation_alias=also_plain("GITHUB_TOKEN"))
    """Opens private repositories with runbooks; reading contents is the only right it needs."""
    github_url: str = "https://github.com"
    """Another one is a GitHub Enterprise Server; it may have a private address."""

    lost_after_s: float = Field(12 * 3600.0, ge=60)
    """How long an alert may go without a word from its sender, in seconds, before its live object is looked at instead;
    longer than the sender's ``repeat_interval``."""
    gitlab_url: str = ""
    """``https://gitlab.example``: an issue is kept for each incident. Needs a token and a project."""
    gitlab_token: SecretStr | None = None
    """Token with the scope ``api`` and the role Reporter (Planner to assign) in the project."""
    gitlab_project: str = ""
    """Id or path (``group/project``) of the project that the issues belong to."""
    gitlab_oncall: str = ""
    """Username that an issue is assigned to when a person must take over; empty: nobody."""
    ticket_webhook_url: SecretStr | None = None
    """``http(s)://…`` that the news of each incident are posted to, signed; it may carry a token."""
    ticket_webhook_secret: SecretStr | None = None
    """The secret that those posts are signed with (HMAC-SHA256); required with the address."""
    ticket_severity: Severity = Severity.WARNING
    """The least severity that an incident gets a ticket for."""

    watchdog_s: float = Field(0.0, ge=0)
    """How long the alert that always fires (``Watchdog``) may be silent, in seconds. 0: learnt from how often it comes,
    once it has come three times."""

    kubeconfig: Path | None = None
    context: str = ""
    """kubeconfig context of the cluster to watch; empty: only the sandbox is watched."""
    in_cluster: bool = False
    """Watch the cluster this process runs in, by its service account."""
    act_kubeconfig: Path | None = None
    """kubeconfig of the acting identity, for the executor alone; unset: it acts with the identity that watches."""
    act_context: str = ""
    """Its context; empty: the current one of ``act_kubeconfig``, or ``context``."""
    cluster: str = ""
    """Name of the watched cluster in signals and incidents; empty: the context's name."""
    contexts: Annotated[tuple[str, ...], NoDecode] = ()
    """More clusters to watch and to act in: contexts of ``kubeconfig``, separated by commas, each as ``context`` or as
    ``name=context``. The acting identity of each has a context of the same name in ``act_kubeconfig``."""
    cluster_aliases: Annotated[tuple[str, ...], NoDecode] = ()
    """Other names that alerts have for our clusters (their ``cluster`` label), as ``other=name``, comma-separated."""
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    resync_s: float = Field(30.0, gt=0)

    approval_timeout_s: float = Field(
        300.0, gt=0, validation_alias=with_prefix("APPROVAL_TIMEOUT_S", "APPROVAL_TIMEOUT_SECONDS")
    )
    rate_limit_per_minute: int = Field(60, ge=1, validation_alias=also_plain("RATE_LIMIT_PER_MINUTE"))
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins (``https://portal.example``) whose pages may call the API with a bearer token; none unless named."""
    chat_session_s: float = Field(300.0, gt=0)
    """How long a chat is remembered as one after its last message; then the next message begins anew."""
    chat_window_tokens: int = Field(6000, ge=100)
    """How much of a conversation a model is told again, in tokens of about four characters."""
    chat_models: str = Field("", pattern=r"^([^=,\s]+=[^=,\s]+(,[^=,\s]+=[^=,\s]+)*)?$")
    """The model of a channel, ``channel=model,…``; a conversation's or a person's own choice goes before it."""
    security_scan_servers: str = ""
    """Servers of ``.mcp-config.json``, separated by commas, whose tools answer ``scan ports of HOST`` in the chat."""
    chat_grace_s: float = Field(30.0, ge=0)
    """Added to it, for who is writing just then."""
    log_level: str = Field("INFO", validation_alias=also_plain("LOG_LEVEL"))
    sweep_s: float = Field(2.0, gt=0)
    """How often every actor looks for what a lost wake-up left behind."""
    claim_ttl_s: float = Field(6.0, gt=0)
    """How long a process may be silent before its work is claimed by another."""
    spare_processes: int = Field(1, ge=0, le=8)
    """Processes that wait unused on the head, so that who dies is back in half a second; each takes 100 MB."""
    rca_workers: int = Field(2, ge=1, le=256)
    """The most worker processes that investigate; there is one, and more while work waits. They spread over nodes."""
    rca_slots: int = Field(10, ge=1, le=100)
    """Investigations at once in each worker."""
    rca_idle_s: float = Field(60.0, gt=0)
    """After so long without any work the last worker that was taken on goes."""
    refine_slots: int = Field(32, ge=1, le=1000)
    """Reports that a model improves at once in each worker, beside the investigations."""
    refine_rounds: int = Field(12, ge=1, le=100)
    """Rounds of looking before a model is made to conclude."""
    refine_data_bytes: int = Field(2_000_000, ge=1_000)
    """The most that tools may answer for one incident, in characters."""
    refine_race_below: float = Field(0.5, ge=0, le=1)
    """First reports less sure than this have competing explanations pursued side by side; 0: none."""
    refine_hypotheses: int = Field(3, ge=1, le=8)
    """How many explanations are pursued at once."""

    keep_incidents_days: int = Field(90, ge=0)
    """Days after which an incident that is over is deleted, with its journal, questions and cards; 0: never."""
    keep_signals_days: int = Field(14, ge=0)
    """Days after which a settled signal is deleted, unless its incident is open; 0: never."""

    models_file: Path = ROOT / "cluster_config" / "models.yaml"
    """Providers, their models, prices, and the middleware of model calls."""

    sandbox: bool = False
    """Run the simulated cluster and watch it."""
    sandbox_scenario: str = "demo"
    sandbox_after_s: float = Field(6.0, ge=0)
    """When the first thing breaks in the sandbox."""

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, data: dict[str, object]) -> dict[str, object]:
        for name in (*_LISTS, "runbook_hosts", "runbook_repos"):
            value = data.get(name)
            if isinstance(value, str):
                data[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        contexts = data.get("contexts")
        alone = not any(data.get(name) for name in ("context", "in_cluster", "sandbox"))
        if isinstance(contexts, tuple) and contexts and alone:
            # Whoever asks for the one context must not get kubectl's current one, which may be another cluster.
            name, _, context = contexts[0].partition("=")
            data |= {"context": context or name, "cluster": data.get("cluster") or name, "contexts": contexts[1:]}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.in_cluster and self.context:
            raise ValueError("MIDWATCH_IN_CLUSTER and MIDWATCH_CONTEXT exclude each other: set one of them")
        if self.sandbox and self.contexts:
            raise ValueError("MIDWATCH_SANDBOX and MIDWATCH_CONTEXTS exclude each other: set one of them")
        if len(set(self.clusters)) < len(self.clusters):
            raise ValueError(f"two clusters have one name: {', '.join(self.clusters)}; write name=context")
        for alias in self.cluster_aliases:
            if alias.partition("=")[2] not in self.clusters:
                raise ValueError(f"MIDWATCH_CLUSTER_ALIASES: {alias!r} is no other=name of {', '.join(self.clusters)}")
        self.check_channels()
        if self.gitlab_url and not (self.gitlab_token and self.gitlab_project):
            raise ValueError("MIDWATCH_GITLAB_URL needs MIDWATCH_GITLAB_TOKEN and MIDWATCH_GITLAB_PROJECT beside it")
        if self.ticket_webhook_url and not self.ticket_webhook_secret:
            raise ValueError("MIDWATCH_TICKET_WEBHOOK_URL needs MIDWATCH_TICKET_WEBHOOK_SECRET: posts are signed")
        return self

    def model_variables(self) -> dict[str, str]:
        """What records of providers may refer to as ``${env:NAME}``: this process's environment, and over it the keys
        and addresses that travel with the settings to actors on other machines.
        """
        return {**os.environ, **self.model_keys()}

    @property
    def keeps_tickets(self) -> bool:
        """Whether any ticket system is configured."""
        return bool(self.gitlab_url or self.ticket_webhook_url)

    @property
    def runtime_dir(self) -> Path:
        """Short path for unix sockets (at most 107 bytes): one directory per state directory, private to this user."""
        tag = hashlib.sha256(str(self.state_dir.resolve()).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"mw-{tag}"

    @property
    def token_file(self) -> Path:
        """The API's bearer token, mode 0600."""
        return self.state_dir / "api-token"

    @property
    def ray_token_file(self) -> Path:
        """The token that Ray's own ports ask for, mode 0600."""
        return self.ray_auth_token_path or self.state_dir / "ray-token"

    @property
    def url(self) -> str:
        """Where the edge answers, as seen from this machine."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104  compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def log_dir(self) -> Path:
        """JSON lines, one file an actor."""
        return self.state_dir / "logs"

    @property
    def targets(self) -> tuple["ClusterTarget", ...]:
        """The clusters that are watched, one watcher each; the first is meant where nobody says which."""
        more = [(name, context or name) for name, _, context in (entry.partition("=") for entry in self.contexts)]
        others = tuple(ClusterTarget(name=name, kubeconfig=self.kubeconfig, context=context) for name, context in more)
        name = self.cluster or self.context or ("in-cluster" if self.in_cluster else "sandbox")
        first = ClusterTarget(
            name=name, kubeconfig=self.kubeconfig, context=self.context, in_cluster=self.in_cluster, first=True
        )
        return (first, *others)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters that are watched."""
        return tuple(target.name for target in self.targets)

    def target(self, cluster: str = "") -> "ClusterTarget":
        """How to reach a cluster by its name; the first one without. Raises :class:`Invalid` for an unknown one."""
        for target in self.targets:
            if cluster in ("", target.name):
                return target
        raise Invalid(f"cluster {cluster!r} is not watched; these are: {', '.join(self.clusters)}")

    @property
    def aliases(self) -> dict[str, str]:
        """Our clusters' names by the other names that alerts have for them."""
        return {other: name for other, _, name in (entry.partition("=") for entry in self.cluster_aliases)}

    @property
    def sandbox_kubeconfig(self) -> Path:
        """Written by the sandbox when it listens."""
        return self.state_dir / "sandbox.kubeconfig"

    @property
    def watches_sandbox(self) -> bool:
        return self.sandbox or not (self.context or self.in_cluster)


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with ``extra`` on top, for a child that must read it at import."""
    return {**os.environ, **extra}


def load_settings(**overrides: object) -> Settings:
    """Read the environment once. Raises :class:`Invalid` naming every wrong or unknown variable."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known | _TEST_ONLY)
    if unknown:
        hints = [f"{name} (did you mean {close[0]}?)" if (close := _close(name, known)) else name for name in unknown]
        raise Invalid(f"unknown setting: {', '.join(hints)}; `midwatch settings` lists them all")
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # values are validated by the model
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors()]
        raise Invalid(f"wrong settings: {'; '.join(faults)}") from error


_TEST_ONLY = {f"{PREFIX}CORPUS"}


def _close(name: str, known: set[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=1)
