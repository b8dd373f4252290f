"""What a log says is wrong: patterns of known failures, found fast, told in Midwatch's own words.

May know: ``midwatch.domain`` and the standard library. Must not know: where logs or patterns come from. Text in, values
out: :class:`LogAnalyser` holds compiled patterns and turns one log into a :class:`LogReport`.
"""

from midwatch.domain.logs.analyser import LogAnalyser
from midwatch.domain.logs.examples import check_examples
from midwatch.domain.logs.patterns import Examples, LogPattern
from midwatch.domain.logs.report import Hit, LogReport
from midwatch.domain.logs.verdict import diagnose_logs

__all__ = ["Examples", "Hit", "LogAnalyser", "LogPattern", "LogReport", "check_examples", "diagnose_logs"]
