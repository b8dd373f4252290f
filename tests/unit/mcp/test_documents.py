"""Documents of the API server: patched exactly, masked, compared, and told as typed values."""

from itertools import pairwise

import jsonpatch
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.adapters.mcp.faults import error_of, sentence
from midwatch.adapters.mcp.kubernetes import diffs, pointers
from midwatch.adapters.mcp.kubernetes.api import fault, path_of
from midwatch.adapters.mcp.kubernetes.masking import masked, masked_text
from midwatch.adapters.mcp.kubernetes.observe import seen
from midwatch.domain.errors import Conflict, Invalid, MidwatchError, NotFound, Permanent, Refused, Transient
from midwatch.domain.reasons import Reason

META = {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"}

scalars = st.none() | st.integers() | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.dictionaries(st.text("ab/~", min_size=1, max_size=3), inner, max_size=3)
)


@settings(deadline=None)  # the machine may be busy
@given(values, st.sampled_from(["/spec/a", "/spec/a/b", "/spec/x~1y/z", "/spec/template"]), values)
def test_a_patch_sets_the_field_and_the_key_and_nothing_else(old: object, pointer: str, new: object) -> None:
    spec = {"a": old} if not isinstance(old, dict) else old
    document = {"metadata": META, "spec": msgspec.json.decode(msgspec.json.encode(spec))}
    if pointer == "/spec/a/b" and not isinstance(document["spec"].get("a", {}), dict | None):
        return  # a scalar has no fields
    patched = jsonpatch.apply_patch(document, pointers.patch(document, {pointer: new}, "key"))
    assert pointers.read(patched, pointer) == new
    assert pointers.last_action(patched) == "key"
    back = {pointer: pointers.read(document, pointer)}
    restored = jsonpatch.apply_patch(patched, pointers.patch(patched, back, "undo"))
    assert pointers.read(restored, pointer) == pointers.read(document, pointer)


def test_a_patch_is_for_one_version_only() -> None:
    operations = pointers.patch({"metadata": META, "spec": {}}, {"/spec/replicas": 3}, "key")
    assert {"op": "test", "path": "/metadata/uid", "value": "u"} in operations
    assert {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"} in operations


def test_secrets_are_masked_where_they_stand() -> None:
    secret = {"kind": "Secret", "metadata": META, "data": {"a": "aGk="}, "stringData": {"b": "hi"}}
    assert masked(secret)["data"] == {"a": "***"}
    assert masked(secret)["stringData"] == {"b": "***"}
    env = [
        {"name": "DB_PASSWORD", "value": "hunter22"},
        {"name": "API_KEY", "value": "k"},
        {"name": "AUTH_TOKEN", "value": "t"},
        {"name": "DSN", "value": "x"},
        {"name": "MYSQL_PWD", "value": "hunter22"},
        {"name": "REGION", "value": "eu"},
        {"name": "PWD", "value": "/app"},
        {"name": "OLDPWD", "value": "/"},
        {"name": "URL", "value": "postgres://app:hunter22@db/x"},
    ]
    pod = {"kind": "Pod", "metadata": META, "spec": {"containers": [{"name": "c", "env": env}]}}
    shown = masked(pod)["spec"]["containers"][0]["env"]
    told = [item["value"] for item in shown]
    assert told == [*["***"] * 5, "eu", "/app", "/", "postgres://app:***@db/x"]
    assert pod["spec"]["containers"][0]["env"][0]["value"] == "hunter22", "the original stays"  # type: ignore[index]


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["--password", "hunter22", "--port", "80"], ["--password", "***", "--port", "80"]),
        (["--api-key", "-hunter22", "serve"], ["--api-key", "***", "serve"]),
        (["-token", "hunter22"], ["-token", "***"]),
        (["--password-file", "/run/db", "--auth", "--verbose"], ["--password-file", "/run/db", "--auth", "--verbose"]),
        (["--password=hunter22", "serve"], ["--password=***", "serve"]),
        (["password", "hunter22"], ["password", "hunter22"]),
    ],
    ids=["apart", "with-dash", "one-dash", "no-secret", "together", "no-flag"],
)
def test_a_secret_in_the_arguments_is_masked(args: list[str], shown: list[str]) -> None:
    pod = {"kind": "Pod", "metadata": META, "spec": {"containers": [{"name": "c", "args": args, "command": args}]}}
    found = masked(pod)["spec"]["containers"][0]
    assert (found["args"], found["command"]) == (shown, shown)


def deployment(*containers: object) -> dict[str, object]:
    return {"kind": "Deployment", "metadata": META, "spec": {"template": {"spec": {"containers": list(containers)}}}}


def test_a_diff_tells_which_variables_change_and_no_value() -> None:
    old = [
        {"name": "MODE", "value": "hunter1"},
        {"name": "DB_PASSWORD", "value": "hunter2"},
        {"name": "SAME", "value": "hunter3"},
    ]
    new = [{"name": "NEW", "value": "hunter4"}, {"name": "SAME", "value": "hunter3"}]
    new += [{"name": "DB_PASSWORD", "value": "hunter5"}, {"name": "MODE", "value": "hunter6"}]
    side = {"name": "side", "env": [{"name": "MODE", "value": "hunter7"}]}
    before = deployment(*[{"name": "app", "env": old}, side])
    after = deployment(*[side, {"name": "app", "env": new, "image": "x"}])
    said = diffs.yaml_diff(before, after, context=99)
    assert "hunter" not in said
    lines = [line.strip("+- ") for line in said.splitlines() if not line.startswith("-")]
    pairs = set(pairwise(lines))
    for name, value in (("MODE", "'*** (changed)'"), ("DB_PASSWORD", "'*** (changed)'"), ("NEW", "'***'")):
        assert (f"name: {name}", f"value: {value}") in pairs
    assert said.count("(changed)") == 2
    assert "hunter" not in diffs.yaml_diff(deployment({"name": "app"}), after)
    assert diffs.yaml_diff(before, before) == ""


def test_what_kubectl_keeps_in_an_annotation_is_left_out() -> None:
    last = {"kubectl.kubernetes.io/last-applied-configuration": '{"password": "hunter22"}'}
    shown = masked({"kind": "Pod", "metadata": {**META, "annotations": last, "managedFields": [{}]}})
    assert "hunter22" not in str(shown)
    assert "managedFields" not in shown["metadata"]


@pytest.mark.parametrize(
    "line",
    [
        "password=hunter22",
        'login {"token": "hunter22"}',
        "Authorization: Bearer hunter22",
        "Server=db;Uid=sa;Pwd=hunter22",
        "redis://:hunter22@cache:6379",
    ],
)
def test_log_lines_are_masked(line: str) -> None:
    assert "hunter22" not in masked_text(line)
    assert masked_text("PWD=/app/src OLDPWD=/app") == "PWD=/app/src OLDPWD=/app"


def test_a_diff_shows_the_change_and_no_bookkeeping() -> None:
    old = {"kind": "Deployment", "metadata": {**META, "generation": 1}, "spec": {"replicas": 1}, "status": {"x": 1}}
    marked = {**META, "generation": 2, "annotations": {pointers.KEY: "k"}}
    new = {"kind": "Deployment", "metadata": marked, "spec": {"replicas": 2}, "status": {"x": 2}}
    assert diffs.yaml_diff(old, new).splitlines()[3:] == [
        "   namespace: shop",
        " spec:",
        "-  replicas: 1",
        "+  replicas: 2",
    ]
    assert diffs.yaml_diff(old, old) == ""


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (410, Transient),
        (429, Transient),
        (500, Transient),
        (503, Transient),
        (400, Permanent),
        (422, Permanent),
    ],
)
def test_answers_become_errors_by_what_to_do(status: int, kind: type[MidwatchError]) -> None:
    error = fault(status, b'{"message": "said so"}', "PATCH /x")
    assert type(error) is kind
    assert "said so" in str(error)
    assert type(fault(status, b"<html>", "PATCH /x")) is kind


@pytest.mark.parametrize(
    "error",
    [
        Refused(Reason.RIGHT_MISSING, "cannot patch: forbidden"),
        Conflict("it changed"),
        NotFound("gone"),
        Permanent("no"),
        Transient("away"),
    ],
)
def test_errors_cross_the_wire(error: MidwatchError) -> None:
    back = error_of(sentence(error), frozenset(Reason))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_a_crash_of_a_tool_says_nothing_about_its_effect() -> None:
    assert isinstance(error_of("Error executing tool scale", frozenset(Reason)), Transient)


@pytest.mark.parametrize("said", ["Unknown tool: reboot", "1 validation error for scaleArguments"])
def test_a_wrong_call_is_not_tried_again(said: str) -> None:
    assert isinstance(error_of(said, frozenset(Reason)), Permanent)


@pytest.mark.parametrize("name", ["../secrets/x", "a/b", "..", "x" * 300])
def test_names_cannot_leave_their_place(name: str) -> None:
    with pytest.raises(Invalid):
        path_of("Pod", name, "shop")
    with pytest.raises(Invalid):
        path_of("Pod", "web", name)


def test_people_controllers_and_gitops_are_told_apart() -> None:
    fields = [
        {"manager": "kube-controller-manager", "time": "2030-01-01T12:30:00Z"},
        {"manager": "kubectl-edit", "time": "2030-01-01T12:00:00Z"},
        {"manager": "kubectl", "subresource": "scale", "time": "2030-01-01T12:20:00Z"},
        {"manager": "midwatch", "time": "2030-01-01T12:25:00Z"},
    ]
    labels = {"argocd.argoproj.io/instance": "shop"}
    found = seen({"kind": "Deployment", "metadata": {**META, "managedFields": fields, "labels": labels}})
    assert found.human_edit_by == "kubectl-edit"
    assert found.human_edit_at is not None
    assert found.human_edit_at.minute == 0
    assert found.gitops_owner == "Argo CD"


def test_a_bare_document_is_enough() -> None:
    for kind in ("Deployment", "DaemonSet", "Pod", "Node", "Job", "CronJob"):
        assert seen({"kind": kind, "metadata": {"name": "x"}}).ref.name == "x"
