"""The secure broker's files: its own authority, certificates, and a password for each user.

``<folder>/authority`` holds the authority's key, and ``<folder>/broker`` the files that the broker
reads. ``<folder>/users/<name>`` holds the files of one user: ``authority.pem``, ``password`` and
``kafka.env``, and with a certificate also ``client.pem`` and ``client.key``. So each user can be
given its own folder and nothing else. Only their owner may read the files.

A certificate is valid for a year, and is renewed at a start with fewer than 30 days left. The
authority is valid for ten years. It is renewed with the same key, and clients then need the new
``authority.pem``.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from rpm_stream.app.broker.certificates import (
    CertificateSubject,
    key_pem,
    new_key,
    pem,
    read_certificate,
    read_key,
    sign,
)
from rpm_stream.app.kafka.access import BROKER
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import private_folder, replace_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

RENEW_BEFORE = timedelta(days=30)
PASSWORD_BYTES = 32

log = structlog.get_logger()


@dataclass(frozen=True)
class Folder:
    """The places of the files."""

    root: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate in PEM. Its key is beside it."""
        return self.root / "authority" / "authority.pem"

    @property
    def broker(self) -> Path:
        """The folder that the broker reads."""
        return self.root / "broker"

    @property
    def users(self) -> Path:
        """The folder with a folder for each user."""
        return self.root / "users"

    def user(self, name: str) -> Path:
        """The folder of one user."""
        return self.users / name


def require() -> None:
    """Raise UsageError where the package that makes certificates is missing."""
    try:
        import cryptography  # noqa: F401 -- only to report a missing extra early
    except ImportError as error:
        raise UsageError(
            "a secure broker needs one more package: pip install 'rpm-stream[broker]'"
        ) from error


def prepare(folder: Folder, hosts: Sequence[str], now: datetime | None = None) -> None:
    """Make or renew the authority and the broker's certificate for ``hosts``.

    Raises OSError, UsageError.
    """
    require()
    at = now or wall()
    private_folder(folder.root)
    _authority(folder, at)
    _broker(folder, hosts, at)


def password_of(folder: Folder, name: str) -> str:
    """Return the password of ``name``, which is made once. Raises OSError."""
    path = folder.user(name) / "password"
    if not path.exists():
        replace_private(path, secrets.token_urlsafe(PASSWORD_BYTES).encode() + b"\n")
    return path.read_text(encoding="ascii").strip()


def client_certificate(folder: Folder, name: str, now: datetime | None = None) -> tuple[Path, Path]:
    """Make or renew certificate and key of the user ``name``, and return their paths.

    Raises OSError, UsageError.
    """
    require()
    at = now or wall()
    place = folder.user(name)
    paths = place / "client.pem", place / "client.key"
    if not _usable(paths[0], folder.authority, (), at):
        if paths[0].exists():
            log.warning("broker.certificate_renewed", file=str(paths[0]))
        key, certificate = _issue(folder, name, (), at)
        replace_private(paths[1], key_pem(key))
        replace_private(paths[0], pem(certificate))
    return paths


def _authority(folder: Folder, at: datetime) -> None:
    path = folder.authority
    key_path = folder.authority.with_suffix(".key")
    if path.exists() != key_path.exists():
        missing, other = (key_path, path) if path.exists() else (path, key_path)
        raise UsageError(
            f"{missing} is missing: put it back, or remove {other.name} too and give clients new"
            " files"
        )
    if path.exists():
        if _left(path, at) > RENEW_BEFORE:
            return
        key = read_key(key_path)
        log.warning("broker.authority_renewed", file=str(path), needed="clients need the new file")
    else:
        key = new_key()
        replace_private(key_path, key_pem(key))
    replace_private(
        path, pem(sign(CertificateSubject("rpm-stream authority"), key, (None, key), at))
    )


def _broker(folder: Folder, hosts: Sequence[str], at: datetime) -> None:
    """Make the broker's PKCS 12 file with key and chain.

    Kafka reads no unencrypted key from a PEM file.
    """
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    store = folder.broker / "broker.p12"
    shown = folder.broker / "broker.pem"
    replace_private(folder.broker / "authority.pem", folder.authority.read_bytes())
    if store.exists() and _usable(shown, folder.authority, hosts, at):
        return
    if shown.exists():
        log.warning("broker.certificate_renewed", file=str(store))
    key, certificate = _issue(folder, BROKER, hosts, at)
    authority = read_certificate(folder.authority)
    locked = BestAvailableEncryption(keystore_password(folder).encode())
    replace_private(
        store,
        pkcs12.serialize_key_and_certificates(b"broker", key, certificate, [authority], locked),
    )
    replace_private(folder.broker / "broker.key", key_pem(key))
    replace_private(shown, pem(certificate))


def keystore_password(folder: Folder) -> str:
    """Return the password of the broker's key store, which is made once. Raises OSError."""
    path = folder.broker / "keystore.password"
    if not path.exists():
        replace_private(path, secrets.token_urlsafe(PASSWORD_BYTES).encode())
    return path.read_text(encoding="ascii")


def _issue(
    folder: Folder, name: str, hosts: Sequence[str], at: datetime
) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    """Return a new key and its certificate, signed by the authority.

    With ``hosts`` it is the certificate of a server.
    """
    key = new_key()
    authority = read_certificate(folder.authority), read_key(folder.authority.with_suffix(".key"))
    return key, sign(CertificateSubject(name, tuple(hosts)), key, authority, at)


def _usable(path: Path, authority: Path, hosts: Sequence[str], at: datetime) -> bool:
    """Whether the certificate exists, lasts, names ``hosts``, and is of the present authority."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    if not path.exists() or _left(path, at) <= RENEW_BEFORE:
        return False
    certificate = read_certificate(path)
    try:
        certificate.verify_directly_issued_by(read_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    if not hosts:
        return True
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(each.value) for each in names} == set(hosts)


def _left(path: Path, at: datetime) -> timedelta:
    return read_certificate(path).not_valid_after_utc - at.astimezone(UTC)
