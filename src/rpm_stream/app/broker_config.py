"""What the embedded broker is told: server properties, logging, and the Java command line. Text only, no I/O."""

from __future__ import annotations

from pathlib import Path

MEMORY = ("-Xms128m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=128m")
QUIET = ("-Djava.awt.headless=true", "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")

# One node for one laptop: every internal topic with one replica, few threads, no waiting for a group to gather.
# Topics are created by `rpm-stream topics apply` and by Faust through its own client, never by a stray produce.
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
    # A restart after SIGKILL waits for the end of its own old session and for an election without rivals:
    # 15 s with Kafka's defaults (9 s and 1 to 2 s), 4 to 6 s with these.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "controller.quorum.election.timeout.ms": "200",
    "controller.quorum.election.backoff.max.ms": "100",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # tests of failover need not wait the usual 6 s
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


def server_properties(logs: Path, port: int, controller_port: int) -> str:
    """The text of ``server.properties``: both listeners on the loopback address only."""
    places = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(logs),
    }
    return "".join(f"{name}={value}\n" for name, value in {**SETTINGS, **places}.items())


def java_command(java: Path, classpath: str, folder: Path) -> list[str]:
    """``java`` up to the main class; logging is read from ``folder``."""
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    return [str(java), *MEMORY, *QUIET, logging, "-cp", classpath]
