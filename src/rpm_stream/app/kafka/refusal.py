"""Finds why a client could not start, and words it for a person.

aiokafka raises the same error for a broker that is away and for one that refuses.
"""

from __future__ import annotations

import asyncio
import ssl

from aiokafka.errors import AuthenticationFailedError, TopicAuthorizationFailedError

from rpm_stream.app.kafka.partitions import not_allowed
from rpm_stream.app.kafka.security import Security, security
from rpm_stream.app.kafka.token import TokenEndpoint
from rpm_stream.app.runtime.errors import BrokerAway, UsageError

PATIENCE_SECONDS = 5.0
UNSURE = (
    "it listens and does not answer: it may want TLS or a user (RPM_KAFKA_PROTOCOL), or is starting"
)


async def not_started(
    bootstrap: str, error: BaseException, known: Security | None = None
) -> UsageError:
    """Return the error to raise for the ``error`` of a client that could not start.

    ``known``: how the client signed in; None: by the settings.
    """
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # as errors of TLS are
        return UsageError(f"not a Kafka address, host:port[,host:port]: {bootstrap}")
    if isinstance(error, TopicAuthorizationFailedError):
        return not_allowed(error)
    if (why := await why_not(bootstrap, known)) is not None:
        return BrokerAway(f"Kafka at {bootstrap}: {why}")
    return BrokerAway(
        f"no Kafka answers at {bootstrap} ({type(error).__name__}): start one (rpm-stream"
        " broker), or name it with --bootstrap or RPM_BOOTSTRAP"
    )


async def why_not(bootstrap: str, known: Security | None = None) -> str | None:
    """Return why a broker refuses clients, in plain words, or None where no broker answers.

    Called after a client could not start. The text never holds a secret.
    """
    known = known or security()
    host, _, port = bootstrap.split(",")[0].strip().rpartition(":")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=known.context
            )
    except ssl.SSLCertVerificationError as error:
        return (
            f"its certificate is not accepted ({error.verify_message}): RPM_KAFKA_CA must be its"
            " authority's"
        )
    except ssl.SSLError:
        return (
            "it does not speak TLS there, or refuses our certificate: look at RPM_KAFKA_PROTOCOL"
            " and the port"
        )
    except (OSError, ValueError, TimeoutError):
        return None
    writer.close()
    if known.user is not None:
        return f"it does not let the user {known.user} in: look at RPM_KAFKA_USER and its password"
    if known.protocol == "PLAINTEXT":
        return UNSURE
    if known.tokens is not None:
        return await _why_no_token(known.tokens)
    return "it listens and does not let our certificate in, or is starting"


async def _why_no_token(tokens: TokenEndpoint) -> str:
    try:
        await tokens.token()
    except AuthenticationFailedError as error:
        return str(error.args[0])
    if tokens.refusal is None:
        return "it listens and does not answer after our token, or is starting"
    return (
        f"it refuses our token ({tokens.refusal}): the token's audience (RPM_KAFKA_TOKEN_SCOPE),"
        " issuer and key must be those that the broker expects"
    )
