"""Settings: one reader, typing errors refused, older names honoured, secrets never shown."""

import pytest

from midwatch.domain.errors import Invalid
from midwatch.settings import load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(tmp_path))


def test_a_misspelt_variable_is_refused_with_the_right_name(monkeypatch):
    monkeypatch.setenv("MIDWATCH_PROT", "1")
    with pytest.raises(Invalid, match=r"MIDWATCH_PROT \(did you mean MIDWATCH_PORT\?\)"):
        load_settings()


def test_every_wrong_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("MIDWATCH_PORT", "99999")
    monkeypatch.setenv("MIDWATCH_SWEEP_S", "soon")
    with pytest.raises(Invalid, match=r"port.*sweep_s"):
        load_settings()


def test_older_names_are_honoured(monkeypatch):
    monkeypatch.setenv("APPROVAL_TIMEOUT_SECONDS", "42")
    monkeypatch.setenv("RATE_LIMIT_PER_MINUTE", "7")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    settings = load_settings()
    assert (settings.approval_timeout_s, settings.rate_limit_per_minute, settings.log_level) == (42, 7, "DEBUG")


def test_the_new_name_wins_over_the_older(monkeypatch):
    monkeypatch.setenv("APPROVAL_TIMEOUT_SECONDS", "42")
    monkeypatch.setenv("MIDWATCH_APPROVAL_TIMEOUT_S", "43")
    assert load_settings().approval_timeout_s == 43


def test_the_token_of_a_cluster_that_is_joined_is_the_one_that_is_named(monkeypatch, tmp_path):
    assert load_settings().ray_token_file == tmp_path / "ray-token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/etc/midwatch/ray-token")
    settings = load_settings(ray_address="10.0.0.1:6379")
    assert str(settings.ray_token_file) == "/etc/midwatch/ray-token"


def test_secrets_do_not_show(monkeypatch):
    monkeypatch.setenv("MIDWATCH_DATABASE_URL", "postgresql://u:hunter2@db/x")
    assert "hunter2" not in repr(load_settings())


def test_two_clusters_to_watch_exclude_each_other(monkeypatch):
    monkeypatch.setenv("MIDWATCH_CONTEXT", "prod")
    monkeypatch.setenv("MIDWATCH_IN_CLUSTER", "true")
    with pytest.raises(Invalid, match="exclude each other"):
        load_settings()


def test_without_a_context_the_sandbox_is_watched(monkeypatch):
    assert load_settings().clusters == ("sandbox",)
    assert load_settings().watches_sandbox
    monkeypatch.setenv("MIDWATCH_CONTEXT", "prod")
    assert load_settings().clusters == ("prod",)
    assert not load_settings().watches_sandbox


def test_several_clusters_are_named_by_their_contexts(monkeypatch):
    monkeypatch.setenv("MIDWATCH_CONTEXTS", "prod, lab=kind-lab")
    monkeypatch.setenv("MIDWATCH_CLUSTER_ALIASES", "prod-eu-1=prod")
    settings = load_settings()
    assert settings.clusters == ("prod", "lab")
    assert (settings.target("lab").context, settings.target().context) == ("kind-lab", "prod")
    assert settings.aliases == {"prod-eu-1": "prod"}
    assert not settings.watches_sandbox
    assert settings.context == "prod", "who knows of one cluster only must not get kubectl's current one"
    with pytest.raises(Invalid, match="is not watched; these are: prod, lab"):
        settings.target("elsewhere")
    monkeypatch.setenv("MIDWATCH_CONTEXT", "main")
    assert load_settings().clusters == ("main", "prod", "lab")
    monkeypatch.setenv("MIDWATCH_CLUSTER", "prod")
    with pytest.raises(Invalid, match="two clusters have one name"):
        load_settings()


def test_the_sandbox_and_several_clusters_exclude_each_other(monkeypatch):
    monkeypatch.setenv("MIDWATCH_CONTEXTS", "prod")
    monkeypatch.setenv("MIDWATCH_SANDBOX", "true")
    with pytest.raises(Invalid, match="exclude each other"):
        load_settings()


def test_an_alias_means_a_cluster_that_is_watched(monkeypatch):
    monkeypatch.setenv("MIDWATCH_CLUSTER_ALIASES", "prod-eu-1=prod")
    with pytest.raises(Invalid, match="MIDWATCH_CLUSTER_ALIASES: 'prod-eu-1=prod'"):
        load_settings()
