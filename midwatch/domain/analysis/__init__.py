"""Root cause without a model: findings on objects, the owner graph, events, changes and logs, walked to their end.

May know: typed objects, conditions, what logs told. Must not know: how any of it was fetched, and no clock but ``now``.
"""

from midwatch.domain.analysis.analyse import Analysis, analyse

__all__ = ["Analysis", "analyse"]
