"""Conditions: every failure state Midwatch can name, and the pure functions that see them in a cluster's objects.

May know: typed objects, the owner graph, time as a value. Must not know: rules, incidents, what is done about a
condition beyond the class of first remediation. A healthy rollout, a finished Job, an autoscaler at its minimum and a
container that restarted once and runs again are not conditions.
"""

from midwatch.domain.conditions.catalogue import CATALOGUE, condition, failure_class
from midwatch.domain.conditions.detect import Detection, detect, detect_object
from midwatch.domain.conditions.entry import Condition

__all__ = ["CATALOGUE", "Condition", "Detection", "condition", "detect", "detect_object", "failure_class"]
