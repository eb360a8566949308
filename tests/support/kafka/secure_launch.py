"""``rpm-stream`` whose every Kafka client, Faust's too, signs in with RPM_KAFKA_*: they all stand on AIOKafkaClient."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient

from rpm_stream.app.cli.main import main

SECURITY = {
    "security_protocol": "SASL_SSL",
    "ssl_context": ssl.create_default_context(cafile=os.environ["RPM_KAFKA_CA"]),
    "sasl_mechanism": os.environ["RPM_KAFKA_MECHANISM"],
    "sasl_plain_username": os.environ["RPM_KAFKA_USER"],
    "sasl_plain_password": Path(os.environ["RPM_KAFKA_PASSWORD_FILE"]).read_text().strip(),
}
plain = AIOKafkaClient.__init__


def signed_in(self: AIOKafkaClient, **given: Any) -> None:
    plain(self, **given | SECURITY)


AIOKafkaClient.__init__ = signed_in

if __name__ == "__main__":
    main()
