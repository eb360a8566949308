"""What the user can mend. Anything else is a bug and keeps its traceback."""

from __future__ import annotations

from rpm_stream.errors import RpmStreamError


class UsageError(RpmStreamError):
    """Wrong use or unreadable input: one clear line that says what to do; exit status 2.

    The text never holds a secret or a patient identifier.
    """

    exit_status = 2


class BrokerAway(UsageError):
    """No Kafka answers: wrongly named, or away for a while.

    To whoever typed a command it is the first.
    """


class MustNotGoOn(UsageError):
    """The broker is in a state in which a stage would do harm; the text names the command that
    mends it; status 70.
    """

    exit_status = 70


class CheckFailed(RpmStreamError):
    """The answer of a check is no; the text says why; exit status 1."""

    exit_status = 1
