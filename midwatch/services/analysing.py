"""The built-in analyser as a service: what was gathered in, a diagnosis out. No model, no key, no I/O."""

from midwatch.domain.analysis import analyse
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.incidents import Incident
from midwatch.domain.logs import LogAnalyser
from midwatch.domain.objects.parse import parse_object
from midwatch.domain.refs import ObjectRef
from midwatch.services.investigation import Sight, inconclusive
from midwatch.services.runtime import Clock


class BuiltInAnalyser:
    """Walks findings, owners, events, changes and logs to a root cause."""

    def __init__(self, logs: LogAnalyser, clock: Clock) -> None:
        self._logs, self._clock = logs, clock

    def __call__(self, incident: Incident, sight: Sight) -> Diagnosis:
        """The diagnosis; a legal "unknown" where nothing explains what was observed."""
        objects = [item for kind, body in sight.objects if (item := parse_object(body, kind)) is not None]
        namespace = incident.subject.namespace
        reports = [
            self._logs.analyse(name, text, ObjectRef("Pod", name.partition("/")[0], namespace))
            for name, text in sight.logs.items()
        ]
        found = analyse(objects, reports, self._clock.now(), focus=incident.owner)
        if found.diagnosis is None:
            return inconclusive(incident, "nothing that was seen explains it")
        return found.diagnosis
