"""Settings from environment variables ``RPM_*`` or a ``.env`` file. Command-line options win."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of every stage, with its default. The pure core reads none of them."""

    model_config = SettingsConfigDict(
        env_prefix="RPM_", env_file=".env", extra="ignore", frozen=True
    )

    bootstrap: str = Field(
        "127.0.0.1:9092", description="Kafka bootstrap servers, host:port[,host:port]"
    )
    kafka_protocol: str = Field(
        "PLAINTEXT",
        pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$",
        description="how the service speaks to Kafka: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    kafka_ca: Path | None = Field(
        None, description="file with the authority's certificate, PEM; default: the system's"
    )
    kafka_certificate: Path | None = Field(
        None, description="file with a client certificate and its chain, PEM"
    )
    kafka_key: Path | None = Field(
        None, description="file with the certificate's key, where it is another"
    )
    kafka_key_password: SecretStr | None = Field(
        None, description="password of the certificate's key"
    )
    kafka_mechanism: str = Field(
        "SCRAM-SHA-512",
        pattern="^(SCRAM-SHA-512|SCRAM-SHA-256|PLAIN|OAUTHBEARER)$",
        description=(
            "how a user signs in with SASL: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER"
        ),
    )
    kafka_user: str | None = Field(None, description="user on Kafka")
    kafka_password: SecretStr | None = Field(None, description="password of the user")
    kafka_password_file: Path | None = Field(None, description="a file with the password instead")
    kafka_token_url: str | None = Field(
        None, description="where OAUTHBEARER gets a token for user and password"
    )
    kafka_token_scope: str | None = Field(None, description="scope of that token")
    partitions: int = Field(
        4, ge=1, le=512, description="partitions of the topics that rpm-stream creates"
    )
    replication: int = Field(
        1, ge=1, le=7, description="replicas of the topics that rpm-stream creates"
    )
    instance: str | None = Field(
        None,
        description=(
            "name of this worker in its consumer group; a restarted worker of the same name need"
            " not wait until its session expires (the supervisor sets it)"
        ),
    )
    data_dir: Path = Field(
        Path.home() / ".local/share/rpm-stream", description="broker data, gateway spools"
    )
    knowledge: Path | None = Field(
        None, description="folder with a clinic's own tables, over the shipped ones"
    )
    time: str = Field(
        "broker",
        pattern="^(broker|recorded)$",
        description="received_at: broker append time, or as recorded in the frame",
    )
    time_speed: float = Field(1.0, gt=0, description="how fast the service's clock runs (demo)")
    time_anchor: datetime | None = Field(
        None, description="when the fast clock began; all stages of a demo share it"
    )
    metrics_host: str = Field("127.0.0.1", description="where /metrics listens")
    metrics_port: int = Field(
        9464,
        ge=0,
        le=65535,
        description="first port for /metrics; each stage takes the next; 0 = off",
    )
    feed_host: str = Field("127.0.0.1", description="where the feed listens")
    feed_port: int = Field(8088, ge=1, le=65535, description="port of the feed")
    token: SecretStr | None = Field(
        None,
        description=(
            "what a clinician's browser or client must show to the feed, 22 random characters or"
            " more"
        ),
    )
    fhir_url: str | None = Field(
        None, description="base URL of the FHIR R4 server that the sink writes to"
    )
    fhir_token: SecretStr | None = Field(None, description="bearer token for the FHIR server")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="how much the stages log"
    )
