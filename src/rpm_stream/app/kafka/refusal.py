"""Finds why no client got in.

aiokafka raises the same error for a broker that is away and for one that refuses.
"""

from __future__ import annotations

import asyncio
import ssl

from rpm_stream.app.kafka.security import security

PATIENCE_SECONDS = 5.0
UNSURE = (
    "it listens and does not answer: it may want TLS or a user (RPM_KAFKA_PROTOCOL), or is starting"
)


async def why_not(bootstrap: str) -> str | None:
    """Return why a broker refuses clients, in plain words, or None where no broker answers.

    Called after a client could not start. The text never holds a secret.
    """
    known = security()
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
    return None if known.protocol != "PLAINTEXT" else UNSURE
