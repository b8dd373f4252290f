"""Rule files are product code: strict, with file and line, proved by their own examples."""

from datetime import timedelta

import pytest

from midwatch.adapters.catalog.rules import FolderRules, duration, load_rules
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.settings import ROOT

GOOD = """\
rules:
  - id: crash
    match: {conditions: [CrashLoopBackOff]}
    examples:
      - {signal: {condition: CrashLoopBackOff}, expect: match}
"""


def write(folder, text, name="a.yaml"):
    (folder / name).write_text(text)


def test_the_shipped_rules_hold_their_own_examples():
    assert {rule.id for rule in load_rules(ROOT / "rules").rules} >= {"crash-loop", "out-of-memory", "image-pull"}


@pytest.mark.parametrize(
    ("broken", "line", "words"),
    [
        ("    matches: {}\n", 6, "unknown field"),
        ("    tier: boss\n", 6, "Invalid enum value 'boss'"),
        ("    for: soon\n", 2, "'soon' is no duration"),
        ("    priority: high\n", 6, "Expected `int`"),
        ("    id: again\n", 6, "stands twice"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path, broken, line, words):
    write(tmp_path, GOOD + broken)
    with pytest.raises(Faults) as caught:
        load_rules(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/a.yaml:")
    assert words in str(caught.value)
    assert abs(int(str(caught.value).split(":")[1]) - line) <= 4


def test_all_faults_of_all_files_come_at_once(tmp_path):
    write(tmp_path, GOOD.replace("expect: match", "expect: no_match"))
    write(tmp_path, "rules: [", "b.yaml")
    write(tmp_path, GOOD.replace("id: crash", "id: other").replace("expect: match", "expect: maybe"), "c.yaml")
    with pytest.raises(Faults) as caught:
        load_rules(tmp_path)
    assert len(caught.value.faults) == 3


def test_one_id_stands_once_in_a_folder(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(Faults, match=r"stands already at .*a\.yaml:2"):
        load_rules(tmp_path)


def test_a_rule_names_only_known_playbooks(tmp_path):
    write(tmp_path, GOOD + "    playbook: pray\n")
    load_rules(tmp_path, playbooks=frozenset({"pray"}))
    with pytest.raises(Faults, match="unknown playbook 'pray'"):
        load_rules(tmp_path, playbooks=frozenset({"restart-workload"}))


def test_a_bad_edit_leaves_the_old_rules_in_force(tmp_path):
    write(tmp_path, GOOD)
    rules = FolderRules(tmp_path)
    write(tmp_path, GOOD + "    unknown: 1\n")
    assert [rule.id for rule in rules.current().rules] == ["crash"]
    assert "unknown field" in rules.fault
    write(tmp_path, GOOD.replace("id: crash", "id: renamed-rule"))
    assert [rule.id for rule in rules.current().rules] == ["renamed-rule"]
    assert rules.fault == ""


def test_a_folder_that_is_not_there_is_a_clear_fault(tmp_path):
    with pytest.raises(Faults, match="no such folder"):
        load_rules(tmp_path / "none")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("1.5m", 90)])
def test_durations(text, seconds):
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "90", "5 m", "m5", "5x"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="no duration"):
        duration(text)


def test_a_folder_that_goes_away_leaves_the_old_rules_in_force(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    write(folder, GOOD)
    rules = FolderRules(folder)
    (folder / "a.yaml").unlink()
    folder.rmdir()
    assert [rule.id for rule in rules.current().rules] == ["crash"]
    assert "no such folder" in rules.fault
