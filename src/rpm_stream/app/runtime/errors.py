"""Errors that the user can mend. Any other exception is a bug and keeps its traceback."""

from __future__ import annotations

from rpm_stream.errors import RpmStreamError


class UsageError(RpmStreamError):
    """Wrong use or unreadable input, with exit status 2.

    The text is one clear line with what to do. It never holds a secret or a patient identifier.
    """

    exit_status = 2


class BrokerAway(UsageError):
    """No Kafka answers, because its address is wrong or because it is away for a while.

    A command that a person typed treats it as a wrong address.
    """


class MustNotGoOn(UsageError):
    """The broker is in a state in which a stage would do harm, with exit status 70.

    The text names the command that mends it.
    """

    exit_status = 70


class CheckFailed(RpmStreamError):
    """A check failed, with exit status 1. The text gives the reason."""

    exit_status = 1
