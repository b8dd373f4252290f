"""Model providers as records: who may be asked, under which names, with which switches, at what price.

A record says where its key stands (``${env:NAME}``, ``${file:PATH}``), never what it is.
"""

from collections.abc import Iterator
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from midwatch.domain.dialogue import ModelTier, Usage

_MILLION = 1_000_000


class Kind(StrEnum):
    """Whose wire a provider speaks, and with which habits."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    AZURE = "azure"
    GEMINI = "gemini"
    XAI = "xai"
    OLLAMA = "ollama"
    HUGGINGFACE = "huggingface"
    GITHUB = "github"
    CUSTOM = "custom"


KEYLESS = frozenset({Kind.OLLAMA, Kind.CUSTOM})
"""Kinds that may be asked without a key."""


class Structured(StrEnum):
    """How an answer of a given form is asked for: by schema, as any JSON object, or in words alone."""

    SCHEMA = "schema"
    OBJECT = "object"
    WORDS = "words"


class Switches(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where providers differ. ``None`` leaves the kind's habit; see :func:`habits`."""

    max_tokens_field: str | None = None
    """``max_tokens`` or ``max_completion_tokens``."""
    parallel_tools: bool | None = None
    """Whether several tools may be asked for at once; ``None``: the provider's own default, nothing is sent."""
    stream_usage: bool | None = None
    """Whether ``stream_options.include_usage`` is understood."""
    structured: Structured | None = None
    tools: bool = True
    """Whether the models can call tools; without, requests with tools go to the next provider."""
    temperature: float | None = None
    """Sent where the API has it; Anthropic's has none."""
    cache: bool = True
    """Mark what may be cached by the provider (Anthropic; others do it by themselves)."""
    thinking: bool = False
    """Let the model think before it answers (Anthropic, adaptive)."""
    effort: str = ""
    """Anthropic's ``low`` to ``max``, OpenAI's ``reasoning_effort``; empty: the provider's own."""


class Names(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model of each tier, by the provider's name for it."""

    large: str = ""
    small: str = ""

    def of(self, tier: ModelTier) -> str:
        """The tier's model; the other tier's where only one is named."""
        first, second = (self.large, self.small) if tier is ModelTier.LARGE else (self.small, self.large)
        return first or second


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider. Times are in seconds; ``context_tokens`` is the most one request may hold, 0: not checked.

    ``idle_s`` is how long the stream may be silent, ``total_s`` how long one answer may take.
    """

    kind: Kind
    enabled: bool = True
    base_url: str = ""
    key: str = ""
    models: Names = Names()
    switches: Switches = Switches()
    context_tokens: int = 0
    idle_s: float = 60.0
    total_s: float = 300.0


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def of(self, usage: Usage) -> float:
        """What this usage costs, in US dollars. Cache tokens without a price cost as much as input."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        dollars = usage.input * self.input + usage.output * self.output
        return (dollars + usage.cache_read * read + usage.cache_write * write) / _MILLION


ASSUMED = Price(input=5.0, output=25.0)
"""For models nobody priced: dear enough that a budget of money still holds."""


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One middleware: ``use`` names a built-in one or an entry point of ``midwatch.model_middleware``.

    The failure of a ``critical`` one fails the call; another's is logged, and the call goes on without it.
    """

    use: str
    priority: int
    active: bool = True
    critical: bool = False
    options: dict[str, str | float | bool] = {}


LAYERS = (
    Layer(use="logging", priority=10),
    Layer(use="redaction", priority=20, critical=True),
    Layer(use="cache", priority=30),
    Layer(use="limits", priority=40, critical=True),
    Layer(use="retry", priority=50),
    Layer(use="validation", priority=60, critical=True),
)
"""The chain where the file names none."""


class Registry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of models. ``default`` is asked first, then ``fallbacks`` in order; ``None``: all others, as written."""

    providers: dict[str, Provider]
    default: str = ""
    fallbacks: tuple[str, ...] | None = None
    cooldown_s: float = 30.0
    prices: dict[str, Price] = {}
    middleware: tuple[Layer, ...] = LAYERS

    def order(self) -> tuple[str, ...]:
        """Enabled providers in the order they are asked."""
        rest = tuple(self.providers) if self.fallbacks is None else self.fallbacks
        first: tuple[str, ...] = (self.default,) if self.default else ()
        if self.fallbacks is not None and not first:
            first = tuple(self.providers)[:1]
        return tuple(name for name in dict.fromkeys((*first, *rest)) if self.providers[name].enabled)

    def price(self, provider: str, model: str) -> Price:
        """By ``provider/model``, then ``model``; names may be shell patterns, the first that fits counts."""
        for wanted in (f"{provider}/{model}", model):
            found = next((price for name, price in self.prices.items() if fnmatchcase(wanted, name)), None)
            if found is not None:
                return found
        return Price(input=0, output=0) if self.providers[provider].kind is Kind.OLLAMA else ASSUMED

    def priced(self, provider: str, model: str) -> bool:
        """Whether the price is known, not assumed."""
        return self.price(provider, model) is not ASSUMED


_HABITS = {
    Kind.OPENAI: Switches(max_tokens_field="max_completion_tokens"),
    Kind.AZURE: Switches(max_tokens_field="max_completion_tokens"),
    Kind.OLLAMA: Switches(structured=Structured.OBJECT),
    Kind.HUGGINGFACE: Switches(structured=Structured.OBJECT),
    Kind.CUSTOM: Switches(structured=Structured.WORDS),
}

BASE_URLS = {
    Kind.GEMINI: "https://generativelanguage.googleapis.com/v1beta/openai/",
    Kind.XAI: "https://api.x.ai/v1",
    Kind.HUGGINGFACE: "https://router.huggingface.co/v1",
    Kind.GITHUB: "https://models.github.ai/inference",
    Kind.OPENAI: "https://api.openai.com/v1",
    Kind.ANTHROPIC: "https://api.anthropic.com",
}


def habits(provider: Provider) -> Switches:
    """The record's switches, with what it leaves open filled in by the habits of its kind."""
    own, usual = provider.switches, _HABITS.get(provider.kind, Switches())
    return msgspec.structs.replace(
        own,
        max_tokens_field=own.max_tokens_field or usual.max_tokens_field or "max_tokens",
        stream_usage=True if own.stream_usage is None else own.stream_usage,
        structured=own.structured or usual.structured or Structured.SCHEMA,
    )


def faults(registry: Registry) -> Iterator[tuple[str, str]]:
    """What contradicts itself, as (path in the file, sentence)."""
    for at, names in (("$.default", (registry.default,)), ("$.fallbacks", registry.fallbacks or ())):
        for name in names:
            if name and name not in registry.providers:
                yield at, f"there is no provider {name!r}; there are {', '.join(registry.providers) or 'none'}"
    for name, provider in registry.providers.items():
        at = f"$.providers.{name}"
        if provider.key and not provider.key.startswith("${"):
            yield f"{at}.key", "a key is given by reference: ${env:NAME} or ${file:PATH}"
        if provider.base_url and not provider.base_url.startswith(("http://", "https://", "${")):
            yield f"{at}.base_url", "must begin with http:// or https://"
        if not provider.models.large and not provider.models.small:
            yield f"{at}.models", "names no model: give large, small or both"
        if not provider.base_url and provider.kind in {Kind.AZURE, Kind.OLLAMA, Kind.CUSTOM}:
            yield at, f"a provider of kind {provider.kind} needs a base_url"
        if provider.switches.max_tokens_field not in {None, "max_tokens", "max_completion_tokens"}:
            yield f"{at}.switches.max_tokens_field", "is max_tokens or max_completion_tokens"
        if min(provider.idle_s, provider.total_s) <= 0:
            yield at, "idle_s and total_s must be above 0"
    if registry.cooldown_s < 0:
        yield "$.cooldown_s", "must not be below 0"
    for index, layer in enumerate(registry.middleware):
        if not 1 <= layer.priority <= 100:
            yield f"$.middleware[{index}].priority", "must be from 1 to 100"
