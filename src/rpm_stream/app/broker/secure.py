"""The files, the users and the users' settings of a secure embedded broker.

All files are in ``<data_dir>/kafka/secure`` (see ``keys.py``). They stay there between starts, also
when the topics' data are dropped. ``users.json`` there lists the users that were added to those of
the roles.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rpm_stream.app.broker import access as broker_access
from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.broker import keys as broker_keys
from rpm_stream.app.broker.keys import Folder
from rpm_stream.app.kafka.access import BROKER, USER_NAME, Role
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import replace_private

PORT_FILE = "certificates.port"
# of the files that a broker in another container reads
GROUP_FOLDER = 0o750
GROUP_FILE = 0o640
LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class AddedUsers:
    """The file ``users.json``: the users that were added to those of the roles."""

    path: Path

    def read(self) -> dict[str, Role]:
        """Return the roles of the users. Raises UsageError where the file is unreadable."""
        if not self.path.exists():
            return {}
        try:
            return {name: Role(role) for name, role in json.loads(self.path.read_bytes()).items()}
        except (ValueError, AttributeError) as error:
            raise UsageError(f"{self.path} cannot be read: put it back") from error

    def write(self, users: Mapping[str, Role]) -> None:
        """Replace the file. Raises OSError."""
        roles = {name: role.value for name, role in users.items()}
        replace_private(self.path, json.dumps(roles).encode())


@dataclass(frozen=True)
class Secure:
    """The secure side of one broker.

    ``root`` is the folder with its files, and ``hosts`` are the names that it answers to.
    """

    root: Path
    hosts: tuple[str, ...] = LOCAL

    @property
    def folder(self) -> Folder:
        """The folder with the files."""
        return Folder(self.root)

    def prepare(self) -> None:
        """Make missing certificates and passwords. Raises OSError, UsageError."""
        broker_keys.prepare(self.folder, self.hosts)
        for name in self.users():
            broker_keys.password_of(self.folder, name)

    def properties(self) -> str:
        """Return the additional lines of the broker's ``server.properties``."""
        return broker_config.security_properties(
            self.folder.broker, broker_keys.keystore_password(self.folder)
        )

    def users(self) -> dict[str, Role]:
        """Return the role of every user. Raises UsageError where ``users.json`` is unreadable."""
        return {role.value: role for role in Role} | self._added.read()

    async def apply(self, bootstrap: str) -> None:
        """Set users and rights on the broker. ``bootstrap`` accepts certificates.

        Raises BrokerAway, UsageError.
        """
        known = {
            name: (role, broker_keys.password_of(self.folder, name))
            for name, role in self.users().items()
        }
        await broker_access.apply(bootstrap, self.folder, known)

    async def remove(self, name: str, bootstrap: str) -> None:
        """Remove password, rights and files of a user that was added.

        Raises UsageError, BrokerAway.
        """
        added = self._added.read()
        if name not in added:
            raise UsageError(f"{name!r} is not among the users that were added")
        await broker_access.remove(bootstrap, self.folder, name)
        del added[name]
        self._added.write(added)
        for path in self.folder.user(name).glob("*"):
            path.unlink()
        self.folder.user(name).rmdir()

    def add(self, name: str, role: Role, certificate: bool = False) -> None:
        """Add a user and make its files. Raises UsageError for an impossible name."""
        self._require()
        if not USER_NAME.fullmatch(name) or name in (BROKER, *Role):
            raise UsageError(
                f"{name!r} cannot be a user: small letters, digits, '.', '_' and '-', and none of "
                f"{', '.join((BROKER, *Role))}"
            )
        self._added.write({**self._added.read(), name: role})
        broker_keys.password_of(self.folder, name)
        if certificate:
            broker_keys.client_certificate(self.folder, name)
        if self._bootstrap.exists():
            self.write_settings(self._bootstrap.read_text(encoding="utf-8"))

    def settings(self, name: str, bootstrap: str) -> dict[str, str]:
        """Return the service's settings for one user, by name."""
        place = self.folder.user(name)
        return {
            "RPM_BOOTSTRAP": bootstrap,
            "RPM_KAFKA_PROTOCOL": "SASL_SSL",
            "RPM_KAFKA_CA": str(place / "authority.pem"),
            "RPM_KAFKA_MECHANISM": "SCRAM-SHA-512",
            "RPM_KAFKA_USER": name,
            "RPM_KAFKA_PASSWORD_FILE": str(place / "password"),
        }

    def write_settings(self, bootstrap: str) -> None:
        """Write the authority's certificate and ``kafka.env`` into each user's folder.

        Raises OSError.
        """
        replace_private(self._bootstrap, bootstrap.encode())
        for name in self.users():
            place = self.folder.user(name)
            replace_private(place / "authority.pem", self.folder.authority.read_bytes())
            lines = (f"{key}={value}\n" for key, value in self.settings(name, bootstrap).items())
            replace_private(place / "kafka.env", "".join(lines).encode())

    def context(self) -> ssl.SSLContext:
        """A TLS context for this broker, as a client without a certificate."""
        return ssl.create_default_context(cafile=str(self.folder.authority))

    def write_broker_properties(self, seen_at: Path, listeners: tuple[str, ...]) -> None:
        """Write the properties for a broker in a container, readable by the group.

        The broker finds its folder at ``seen_at``. ``admin.properties`` beside it is for Kafka's
        own commands. Raises OSError.
        """
        password = broker_keys.keystore_password(self.folder)
        properties = broker_config.security_properties(seen_at, password, listeners)
        replace_private(self.folder.broker / "server.properties", properties.encode())
        admin = broker_config.admin_properties(seen_at, password)
        replace_private(self.folder.broker / "admin.properties", admin.encode())
        self.folder.broker.chmod(GROUP_FOLDER)
        for name in ("server.properties", "admin.properties", "broker.p12", "authority.pem"):
            (self.folder.broker / name).chmod(GROUP_FILE)

    def certificates(self) -> str:
        """Return the address where the embedded broker accepts certificates, host:port.

        Raises UsageError where it never ran secure.
        """
        self._require()
        try:
            return f"127.0.0.1:{(self.root / PORT_FILE).read_text(encoding='ascii')}"
        except OSError as error:
            raise UsageError(
                f"{self.root} is not of an embedded broker: name its address with --certificates"
            ) from error

    def note_port(self, port: int) -> None:
        """Store the port where the embedded broker accepts certificates. Raises OSError."""
        replace_private(self.root / PORT_FILE, str(port).encode())

    def _require(self) -> None:
        if not self.folder.authority.exists():
            raise UsageError(
                f"{self.root} holds no keys: rpm-stream broker --secure makes them at its first"
                " start"
            )

    @property
    def _bootstrap(self) -> Path:
        return self.root / "bootstrap"

    @property
    def _added(self) -> AddedUsers:
        return AddedUsers(self.root / "users.json")
