"""Settings of models and of what they may spend: a part of :class:`midwatch.settings.Settings`, which reads them."""

from enum import StrEnum

from pydantic import BaseModel, Field, SecretStr

from midwatch.domain.budgets import Budget
from midwatch.setting_names import also_plain


class Environment(StrEnum):
    """Where this Midwatch stands."""

    LAB = "lab"
    NONPROD = "nonprod"
    PROD = "prod"


class ModelSettings(BaseModel):
    """Who is asked, with which keys, and within which budgets. Times are in seconds, money in US dollars."""

    environment: Environment = Environment.LAB
    """``lab``: ``DEFAULT_LLM_PROVIDER`` and the names of models below win over the file; ``nonprod`` and ``prod``:
    the file alone says who is asked."""
    default_llm_provider: str = Field("", validation_alias=also_plain("DEFAULT_LLM_PROVIDER"))
    """The provider asked first, by its name in the file; it is then enabled whatever the file says."""
    llm_model: str = ""
    """The default provider's large model, in place of the file's."""
    llm_small_model: str = ""
    """The default provider's small model, in place of the file's."""
    anthropic_api_key: SecretStr | None = Field(None, validation_alias=also_plain("ANTHROPIC_API_KEY"))
    anthropic_base_url: str = Field("", validation_alias=also_plain("ANTHROPIC_BASE_URL"))
    openai_api_key: SecretStr | None = Field(None, validation_alias=also_plain("OPENAI_API_KEY"))
    openai_base_url: str = Field("", validation_alias=also_plain("OPENAI_BASE_URL"))
    gemini_api_key: SecretStr | None = Field(None, validation_alias=also_plain("GEMINI_API_KEY"))
    xai_api_key: SecretStr | None = Field(None, validation_alias=also_plain("XAI_API_KEY"))
    hf_token: SecretStr | None = Field(None, validation_alias=also_plain("HF_TOKEN"))
    github_token: SecretStr | None = Field(None, validation_alias=also_plain("GITHUB_TOKEN"))
    azure_openai_api_key: SecretStr | None = Field(None, validation_alias=also_plain("AZURE_OPENAI_API_KEY"))
    azure_openai_endpoint: str = Field("", validation_alias=also_plain("AZURE_OPENAI_ENDPOINT"))
    """``https://RESOURCE.openai.azure.com``; the models are the names of your deployments."""
    azure_openai_deployment: str = Field("", validation_alias=also_plain("AZURE_OPENAI_DEPLOYMENT"))
    ollama_base_url: str = Field("", validation_alias=also_plain("OLLAMA_BASE_URL"))
    """``http://127.0.0.1:11434``; unset: Ollama is not asked."""

    incident_budget_s: float = Field(600.0, ge=0)
    """Seconds a model may work on one incident. 0, here and below: no limit."""
    incident_budget_model_calls: int = Field(60, ge=0)
    incident_budget_tool_calls: int = Field(120, ge=0)
    incident_budget_tokens: int = Field(1_000_000, ge=0)
    """Tokens of one incident: read, written, and read from the provider's cache."""
    incident_budget_usd: float = Field(2.0, ge=0)
    """US dollars one incident may cost."""
    day_budget_s: float = Field(0.0, ge=0)
    """Seconds of model work in one day (UTC), all incidents together."""
    day_budget_model_calls: int = Field(0, ge=0)
    day_budget_tool_calls: int = Field(0, ge=0)
    day_budget_tokens: int = Field(0, ge=0)
    day_budget_usd: float = Field(50.0, ge=0)
    """US dollars one day (UTC) may cost."""

    def model_keys(self) -> dict[str, str]:
        """Keys and addresses that are set, by the names vendors give them."""
        secret = {
            "ANTHROPIC_API_KEY": self.anthropic_api_key,
            "OPENAI_API_KEY": self.openai_api_key,
            "GEMINI_API_KEY": self.gemini_api_key,
            "XAI_API_KEY": self.xai_api_key,
            "HF_TOKEN": self.hf_token,
            "GITHUB_TOKEN": self.github_token,
            "AZURE_OPENAI_API_KEY": self.azure_openai_api_key,
        }
        plain = {
            "ANTHROPIC_BASE_URL": self.anthropic_base_url,
            "OPENAI_BASE_URL": self.openai_base_url,
            "AZURE_OPENAI_ENDPOINT": self.azure_openai_endpoint.rstrip("/"),
            "AZURE_OPENAI_DEPLOYMENT": self.azure_openai_deployment,
            "OLLAMA_BASE_URL": self.ollama_base_url.rstrip("/"),
        }
        known = {name: value.get_secret_value() for name, value in secret.items() if value is not None} | plain
        return {name: value for name, value in known.items() if value}

    @property
    def incident_budget(self) -> Budget:
        """What a model may spend on one incident."""
        return Budget(
            wall_s=self.incident_budget_s,
            model_calls=self.incident_budget_model_calls,
            tool_calls=self.incident_budget_tool_calls,
            tokens=self.incident_budget_tokens,
            usd=self.incident_budget_usd,
        )

    @property
    def day_budget(self) -> Budget:
        """What models may spend in one day (UTC)."""
        return Budget(
            wall_s=self.day_budget_s,
            model_calls=self.day_budget_model_calls,
            tool_calls=self.day_budget_tool_calls,
            tokens=self.day_budget_tokens,
            usd=self.day_budget_usd,
        )
