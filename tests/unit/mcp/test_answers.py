"""Answers of tools: no contents of a Secret, no password, no endless text."""

import json

import pytest

from midwatch.adapters.mcp.answers import MAX_ANSWER, fit

VALUE = "aHVudGVyMmh1bnRlcjI="
SECRET = {"apiVersion": "v1", "data": {"blob": VALUE}, "kind": "Secret", "metadata": {"name": "db"}}
ANSWERS = {
    "json": json.dumps(SECRET),
    "json, indented": json.dumps(SECRET, indent=2),
    "json list": json.dumps([{"kind": "ConfigMap"}, SECRET]),
    "SecretList": json.dumps({"kind": "SecretList", "items": [{"data": {"blob": VALUE}}]}),
    "json within json": json.dumps({"text": json.dumps(SECRET)}),
    "json in prose": f"Here it is: {json.dumps(SECRET)} and no more",
    "yaml, data first": f"apiVersion: v1\ndata:\n  blob: {VALUE}\nkind: Secret\nmetadata:\n  name: db\n",
    "yaml, kind first": f"kind: Secret\nmetadata:\n  name: db\nstringData:\n  blob: {VALUE}\n",
    "yaml, block": f"kind: Secret\nmetadata: {{name: db}}\ndata:\n  blob: |\n    {VALUE}\n    {VALUE}\n",
    "yaml list": f"- apiVersion: v1\n  data:\n    blob: {VALUE}\n  kind: Secret\n  metadata:\n    name: db\n",
    "yaml, list item opens with data": f"- data:\n    blob: {VALUE}\n  kind: Secret\n  metadata:\n    name: db\n",
    "yaml flow": f"kind: Secret\nmetadata: {{name: db}}\ndata: {{blob: {VALUE}}}\n",
}


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
def test_contents_of_secrets_go(text: str) -> None:
    said = fit(text)
    assert VALUE not in said
    assert "***" in said


def test_names_stay() -> None:
    assert "name: db" in fit(ANSWERS["yaml, data first"])
    assert "blob" in fit(ANSWERS["yaml, data first"])


def test_other_objects_keep_their_data() -> None:
    text = "kind: ConfigMap\ndata:\n  level: debug\n"
    assert fit(text) == text


def test_passwords_in_text_go() -> None:
    said = fit("connect to postgres://app:hunter2@db failed, password=hunter2hunter2")
    assert "hunter2" not in said


def test_a_long_answer_is_cut_and_says_so() -> None:
    said = fit("word and word\n" * (MAX_ANSWER // 14) + "x" * 60)
    assert len(said) < MAX_ANSWER + 100
    assert said.endswith("[cut here: 52 more characters]")


def test_an_endless_word_is_shortened() -> None:
    said = fit("a " + "x" * MAX_ANSWER)
    assert said.startswith("a xxx")
    assert len(said) < 200


def test_deep_nesting_is_no_way_around() -> None:
    deep = '{"kind": "Secret", "a":' * 30_000
    assert fit(deep + f'"data": {{"blob": "{VALUE}"}}').count(VALUE) == 0
