"""What ten megabytes of log cost the analyser, from the kindest to the worst: a few kinds of lines, or none alike."""

import time
from random import Random

import psutil

from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.domain.logs import LogAnalyser
from tests.bench.figures import say
from tests.fixtures.houses import ROOT

_BYTES = 10_000_000
_ROUNDS = 3
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS = ("request", "served", "order", "user", "cache", "session", "retry", "queue", "worker", "batch", "lease")


def measure() -> None:
    """Processor time of each log, the best of three rounds: others want the cores, too."""
    analyser = LogAnalyser(load_log_patterns(ROOT / "rules" / "logs"))
    logs = {"alike": _alike(), "mixed": _mixed(), "every line differs": _different(), "random letters": _random()}
    for name, text in logs.items():
        times = []
        for _ in range(_ROUNDS):
            began = time.process_time()
            report = analyser.analyse(name, text)
            times.append(time.process_time() - began)
        context = {"lines": report.lines, "load_1m": psutil.getloadavg()[0]}
        say("log_10mb_cpu", 1000 * min(times), "ms", kind=name, slowest=round(1000 * max(times)), **context)


def _whole(line: object) -> str:
    """Lines of ``line(number)`` up to ten megabytes, a crash among the last."""
    assert callable(line)
    found, size, number = [], 0, 0
    while size < _BYTES:
        found.append(line(number))
        size += len(found[-1]) + 1
        number += 1
    found.append("panic: runtime error: invalid memory address or nil pointer dereference")
    return "\n".join(found)


def _alike() -> str:
    return _whole(lambda n: f"2026-01-01T00:00:{n % 60:02d}Z level=info request {n} served in {n % 37} ms")


def _mixed() -> str:
    chance = Random(1)

    def line(number: int) -> str:
        level = chance.choice(("info", "info", "info", "warn", "error"))
        words = " ".join(chance.choices(_WORDS[:5], k=3))
        return f"2026-01-01T00:00:{number % 60:02d}Z level={level} {words} id={number} took={number % 91}ms"

    return _whole(line)


def _word(chance: Random) -> str:
    return "".join(chance.choices(_LETTERS, k=chance.randint(3, 9)))


def _different() -> str:
    """A language of 3,000 words."""
    chance = Random(2)
    language = [_word(chance) for _ in range(3_000)]

    def line(number: int) -> str:
        words = " ".join(chance.choices(language, k=6))
        return f"2026-01-01T00:00:{number % 60:02d}Z level=error {words} {chance.choice(_WORDS)} failed"

    return _whole(line)


def _random() -> str:
    """No word twice, as in a dump of encoded bytes: what nobody logs ten megabytes of."""
    chance = Random(3)
    return _whole(lambda n: f"{n} {' '.join(_word(chance) for _ in range(8))}")
