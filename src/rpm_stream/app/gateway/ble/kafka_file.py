"""A gateway's credentials for its broker, in a small TOML file.

A password must not be on a command line.
"""

from __future__ import annotations

import os
import ssl
import stat
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.helpers import create_ssl_context

from rpm_stream.app.kafka.tls import FollowingContext
from rpm_stream.app.runtime.errors import UsageError

SECRETS = frozenset({"sasl_plain_password", "ssl_password"})
SIGNING_IN = frozenset(
    {"security_protocol", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password"}
)
FILES = {
    "ssl_cafile": "cafile",
    "ssl_certfile": "certfile",
    "ssl_keyfile": "keyfile",
    "ssl_password": "password",
}
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


def kafka_options(path: Path) -> dict[str, Any]:
    """Return aiokafka's arguments from a file, with the certificates loaded.

    The file may have ``security_protocol``, ``sasl_mechanism``, ``sasl_plain_username``,
    ``sasl_plain_password``, the paths ``ssl_cafile``, ``ssl_certfile`` and ``ssl_keyfile``, and
    ``ssl_password``, which opens the key. Paths are relative to the file. Raises ``UsageError``
    with a text that has no secret.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser's own text may quote a password.
        raise UsageError(f"{path}: not TOML ({type(error).__name__})") from None
    for name, value in table.items():
        if name not in SIGNING_IN and name not in FILES:
            raise UsageError(
                f"{path}: {name}: unknown, one of {', '.join(sorted(SIGNING_IN | FILES.keys()))}"
            )
        if not isinstance(value, str):
            raise UsageError(f"{path}: {name} must be a text in quotes")
    if table.get("security_protocol", "PLAINTEXT") not in PROTOCOLS:
        raise UsageError(f"{path}: security_protocol must be one of {', '.join(PROTOCOLS)}")
    if SECRETS & table.keys() and os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path}: holds a password and others may read it: chmod 600 {path}")
    found = {name: value for name, value in table.items() if name in SIGNING_IN}
    if table.get("security_protocol", "").endswith("SSL"):
        beside = {
            FILES[name]: value if name == "ssl_password" else str(path.parent / value)
            for name, value in table.items()
            if name in FILES
        }
        files = [Path(value) for name, value in beside.items() if name != "password"]
        found["ssl_context"] = FollowingContext(partial(_context, path, beside), files)
    return found


def _context(path: Path, beside: dict[str, str]) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = create_ssl_context(**beside)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{path}: a certificate or key cannot be used: {error.strerror or error}"
        ) from None
    return context
