"""The text of the embedded broker's server properties, logging and Java command line.

No function here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rpm_stream.app.kafka.access import BROKER

MEMORY = ("-Xms128m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=128m")
QUIET = (
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

# One node for one laptop. Every internal topic has one replica, there are few threads, and a group
# does not wait for more members. Topics are created by `rpm-stream topics apply` and by Faust
# through its own client, never by a stray produce.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # A restart after SIGKILL waits for the end of its own old session and for an election without
    # rivals. That takes 15 s with Kafka's defaults (9 s and 1 to 2 s), and 4 to 6 s with these.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "controller.quorum.election.timeout.ms": "200",
    "controller.quorum.election.backoff.max.ms": "100",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # so that tests of failover do not wait the usual 6 s
    "num.network.threads": "1",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "16777216",  # 128 MiB otherwise, a quarter of the heap
    "log.cleaner.backoff.ms": "5000",
}

LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


DENIALS = """\
logger.denied.name = kafka.authorizer.logger
logger.denied.level = info
"""

# A user signs in with a password (SCRAM) on one listener, or with a certificate on the other. The
# broker itself and the administrator use the second. Requests without a right in the table of roles
# are refused.
SECURITY = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:{BROKER}",
    "ssl.principal.mapping.rules": "RULE:^CN=([^,]+)$/$1/,DEFAULT",
    "ssl.keystore.type": "PKCS12",
    "ssl.truststore.type": "PEM",
    "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
    "ssl.client.auth": "required",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
}
LISTENER_SASL = {
    "ssl.client.auth": "none",
    "scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}


@dataclass(frozen=True)
class Ports:
    """The ports for clients, for the controller and, when secure, for certificate clients."""

    clients: int
    controller: int
    certificates: int | None = None


def server_properties(logs: Path, ports: Ports, security: str = "") -> str:
    """Return the text of ``server.properties``, with all listeners on the loopback address.

    ``security`` is the text of ``security_properties``. It is empty for a broker without users.
    """
    listeners = {"PLAINTEXT": ports.clients}
    if ports.certificates is not None:
        listeners = {"CLIENTS": ports.clients, "CERTIFICATES": ports.certificates}
    advertised = [f"{name}://127.0.0.1:{port}" for name, port in listeners.items()]
    places = {
        "listeners": ",".join([*advertised, f"CONTROLLER://127.0.0.1:{ports.controller}"]),
        "advertised.listeners": ",".join(advertised),
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",
        "log.dirs": str(logs),
    }
    if ports.certificates is not None:
        places["listener.security.protocol.map"] = (
            "CLIENTS:SASL_SSL,CERTIFICATES:SSL,CONTROLLER:SSL"
        )
        places["inter.broker.listener.name"] = "CERTIFICATES"
    return _lines({**SETTINGS, **places}) + security


def security_properties(
    folder: Path, password: str, sasl_listeners: tuple[str, ...] = ("CLIENTS",)
) -> str:
    """Return the properties for certificates, users and rights.

    ``folder`` is the path at which the broker finds its key store.
    """
    stores = {
        "ssl.keystore.location": str(folder / "broker.p12"),
        "ssl.keystore.password": password,
        "ssl.key.password": password,
        "ssl.truststore.location": str(folder / "authority.pem"),
    }
    listeners = {
        f"listener.name.{listener.lower()}.{name}": value
        for listener in sasl_listeners
        for name, value in LISTENER_SASL.items()
    }
    return _lines({**SECURITY, **stores, **listeners})


def admin_properties(folder: Path, password: str) -> str:
    """Return the properties for Kafka's own commands (``--command-config``).

    They sign in with the broker's certificate.
    """
    return _lines(
        {
            "security.protocol": "SSL",
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": str(folder / "broker.p12"),
            "ssl.keystore.password": password,
            "ssl.key.password": password,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(folder / "authority.pem"),
        }
    )


def _lines(properties: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def java_command(java: Path, classpath: str, folder: Path) -> list[str]:
    """Return the command line of ``java`` up to the main class. Logging is read from ``folder``."""
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    return [str(java), *MEMORY, *QUIET, logging, "-cp", classpath]
