"""The tree of errors, by what the caller should do about them.

``MidwatchError``
 ├── ``Transient``      wait and try again (``retry_in`` seconds)
 │    └── ``Throttled`` nothing was done; ask that dependency nothing at all until then
 ├── ``Permanent``      trying again will not help; a person must change something
 │    └── ``Invalid``   the input is wrong, and the message says where
 ├── ``Refused``        a rule of safety says no; ``reason`` is its name
 ├── ``NotFound``       the thing named does not exist
 └── ``Conflict``       somebody else was first: read again and decide again
      └── ``ClaimLost`` the lease under which this process worked is no longer its own

Positional arguments only, all passed to ``super().__init__``: so they survive pickling, hence a Ray call.
"""


class MidwatchError(Exception):
    """Any error Midwatch raises on purpose. ``message`` says what happened and what to do next."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class Transient(MidwatchError):
    """A dependency is away for now. Try again in ``retry_in`` seconds."""

    def __init__(self, message: str, retry_in: float = 1.0) -> None:
        Exception.__init__(self, message, retry_in)
        self.message = message
        self.retry_in = retry_in


class Throttled(Transient):
    """A dependency asks for a rest. What was asked was not done, and it is asked nothing for ``retry_in`` seconds."""


class Permanent(MidwatchError):
    """Trying again will not help; the message says what a person must change."""


class Invalid(Permanent):
    """Input that does not parse or contradicts itself; the message names file, line or field."""


class Refused(MidwatchError):
    """A rule of safety says no. ``reason`` is the rule's name, stable enough to test and to translate."""

    def __init__(self, reason: str, message: str) -> None:
        Exception.__init__(self, reason, message)
        self.reason = reason
        self.message = message


class NotFound(MidwatchError):
    """The thing named does not exist (any more)."""


class Conflict(MidwatchError):
    """Somebody else wrote first. Read again, decide again, write again."""


class ClaimLost(Conflict):
    """The claim was taken over by another process; stop at once and write nothing more."""
