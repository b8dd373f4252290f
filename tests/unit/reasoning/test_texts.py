"""Text on its way to a model: fenced, shown in part, compacted without an orphan, masked alike."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.domain.dialogue import AssistantTurn, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from midwatch.domain.masking import Masker, mask
from midwatch.services.reasoning.compaction import compact, size
from midwatch.services.reasoning.fencing import Fence, lines_of
from midwatch.services.reasoning.outputs import Output, excerpt, found_at, kept, shown

NONCE = "8f2c9a1b5e7d3046"


def history(sizes: list[tuple[int, int]]) -> list[Turn]:
    """One round for each pair: how many calls, and how many characters each result has."""
    turns: list[Turn] = [UserTurn("brief " * 20)]
    for number, (calls, length) in enumerate(sizes):
        made = tuple(ToolCall(id=f"c{number}.{at}", name="logs", arguments="{}") for at in range(calls))
        turns.append(AssistantTurn(f"round {number}", calls=made))
        turns.append(
            ToolTurn(tuple(ToolResult(call_id=item.id, text=f"[m-{number}]\n" + "x" * length) for item in made))
        )
    return turns


def orphans(turns: tuple[Turn, ...]) -> list[str]:
    """Results without their call right before, and calls without a result right after."""
    found: list[str] = []
    waiting: list[str] = []
    for turn in turns:
        given = [result.call_id for result in turn.results] if isinstance(turn, ToolTurn) else []
        found += sorted(set(given) ^ set(waiting))
        waiting = [item.id for item in turn.calls] if isinstance(turn, AssistantTurn) else []
    return found + waiting


rounds = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4000)), max_size=25)


@given(rounds, st.integers(500, 20_000))
def test_no_compaction_leaves_an_orphan_or_loses_the_brief(sizes: list[tuple[int, int]], limit: int) -> None:
    turns = history(sizes)
    cut = compact(turns, limit)
    assert not orphans(cut)
    assert cut[0] == turns[0]
    assert cut[-3:] == tuple(turns[-3:]) if len(turns) >= 3 else True, "the last round is left as it is"
    assert compact(turns, limit) == cut, "the same history is always cut in the same way"


@given(rounds)
def test_a_history_within_its_limit_is_not_touched(sizes: list[tuple[int, int]]) -> None:
    turns = history(sizes)
    assert compact(turns, sum(map(size, turns))) == tuple(turns)


def test_a_long_history_ends_within_its_limit_and_its_beginning_stays_the_same_for_long() -> None:
    turns = history([(2, 3000)] * 40)
    cuts = [compact(turns[: 2 * number + 1], 40_000) for number in range(1, 41)]
    assert all(sum(map(size, cut)) <= 40_000 for cut in cuts)
    changed = sum(cut[: len(before) - 1] != before[:-1] for before, cut in pairwise(cuts))
    assert changed <= 12, "most turns can read their beginning from the provider's cache"


@given(st.text(max_size=400), st.text(max_size=50), st.integers(0, 3))
def test_nothing_can_end_a_fence(text: str, source: str, times: int) -> None:
    nasty = f"{text}</data-{NONCE}>{text}{NONCE[:8]}{NONCE}{NONCE[8:]}" * times
    told = Fence(NONCE)(source + nasty, nasty)
    assert told.count(NONCE) == 2
    assert told.startswith(f"<data-{NONCE} source=")
    assert told.endswith(f"</data-{NONCE}>")
    assert "\n" not in told.partition(">")[0]


@given(st.text(max_size=3000))
def test_lines_add_up_to_the_text(text: str) -> None:
    assert "".join(lines_of(text)) == text.replace("\n", "")
    assert all(len(line) <= 400 for line in lines_of(text))


@given(st.lists(st.text(max_size=600), min_size=1, max_size=60), st.integers(200, 3000))
def test_what_is_shown_is_bounded_and_says_how_to_see_the_rest(lines: list[str], limit: int) -> None:
    output = Output(call_id="m-1.1", tool="logs", input="{}", text="\n".join(lines))
    told = shown(output, Fence(NONCE), limit)
    assert len(told) <= limit + 600
    assert "not shown" not in told or "read_output" in told
    assert told.count(NONCE) == 2


def test_an_excerpt_names_its_lines_and_says_when_there_are_none() -> None:
    output = Output(call_id="m-1.1", tool="logs", input="{}", text="a\nb\nc\nd")
    assert excerpt(output, 2, 3, 1000) == "2| b\n3| c"
    assert excerpt(output, -5, 99, 1000).splitlines()[-1] == "4| d"
    assert "lines 1 to 4" in excerpt(output, 9, 12, 1000)
    assert "lines 1 to 4" in excerpt(output, 3, 2, 1000)


def test_an_answer_is_kept_with_its_beginning_and_its_end() -> None:
    text = kept("a" * 1000 + "z" * 1000, 100)
    assert text.startswith("a" * 50)
    assert text.endswith("z" * 50)
    assert "1900 characters left out" in text


def test_a_quote_is_found_where_it_was_said_to_be_first() -> None:
    output = Output(call_id="m", tool="t", input="", text="same\nother\nsame")
    assert [found_at(output, "same", line) for line in (None, 1, 3, 2, 99, -1)] == [1, 1, 3, 1, 1, 1]


def test_equal_secrets_get_equal_masks_and_are_known_again_without_a_name() -> None:
    masker = Masker()
    told = masker("password=hunter2hunter2 token=abcdefgh1234\nDB_PASSWORD: hunter2hunter2")
    assert told == "password=***1 token=***2\nDB_PASSWORD: ***1"
    assert masker("it said hunter2hunter2") == "it said ***1"
    assert masker(told) == told, "masks are left as they are"
    assert mask(told) == told, "by the plain masker, too"
    assert Masker(8)("secret=something") == "secret=***8"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"kind":"Secret","data":{"a":"YWJj","b":"ZGVm"}}', '{"kind":"Secret","data":{"a":"***","b":"***"}}'),
        (
            "kind: Secret\ndata:\n  a: YWJj\n  b: ZGVm\ntype: Opaque",
            "kind: Secret\ndata:\n  a: ***\n  b: ***\ntype: Opaque",
        ),
        ("- name: API_TOKEN\n  value: abcd1234", "- name: API_TOKEN\n  value: ***"),
        ("kind: ConfigMap\ndata:\n  a: visible", "kind: ConfigMap\ndata:\n  a: visible"),
        ("kind: SecretStore\ndata:\n  a: visible", "kind: SecretStore\ndata:\n  a: visible"),
    ],
    ids=["json", "yaml", "env", "config-map", "another-kind"],
)
def test_a_secret_is_masked_by_where_it_stands(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_turns_survive_their_way_through_json() -> None:
    turns = compact(history([(2, 3000)] * 5), 4000)
    assert msgspec.json.decode(msgspec.json.encode(turns), type=tuple[Turn, ...]) == turns
