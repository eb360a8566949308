"""X.509 certificates for a broker and its clients: signing, reading and writing in PEM.

Keys are on the elliptic curve P-256. An authority signs itself and is valid for ten years. Its
certificates are valid for a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from rpm_stream.app.runtime.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
# every use of a key that X.509 knows
KEY_USAGES = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    " key_cert_sign crl_sign encipher_only decipher_only"
).split()
# so that a client whose clock is a little slow accepts a new certificate
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True)
class CertificateSubject:
    """The owner of a certificate.

    ``hosts`` are the names and addresses of a server. A client has none.
    """

    name: str
    hosts: tuple[str, ...] = ()


def new_key() -> EllipticCurvePrivateKey:
    """A new private key."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def sign(
    subject: CertificateSubject,
    key: EllipticCurvePrivateKey,
    authority: tuple[x509.Certificate | None, EllipticCurvePrivateKey],
    at: datetime,
) -> x509.Certificate:
    """Return a signed certificate. ``authority`` is the certificate and the key of its issuer.

    Without the issuer's certificate it is the authority's own certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    issuer, issuer_key = authority
    name = _distinguished(subject.name)
    days = AUTHORITY_DAYS if issuer is None else CERTIFICATE_DAYS
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATED)
        .not_valid_after(at + timedelta(days=days))
        .add_extension(
            x509.BasicConstraints(issuer is None, 0 if issuer is None else None), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(_usage(issuer is None), critical=True)
    )
    if issuer is not None:
        builder = builder.add_extension(_purposes(subject), critical=False)
    if subject.hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(_names_of(subject.hosts)), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _distinguished(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(is_authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    allowed = ("key_cert_sign", "crl_sign") if is_authority else ("digital_signature",)
    return x509.KeyUsage(**{usage: usage in allowed for usage in KEY_USAGES})


def _purposes(subject: CertificateSubject) -> x509.ExtendedKeyUsage:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    client = [ExtendedKeyUsageOID.CLIENT_AUTH]
    return x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, *client] if subject.hosts else client
    )


def _names_of(hosts: Sequence[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def read_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in a PEM file. Raises OSError, UsageError."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise UsageError(
            f"{path} is not a certificate: put it back, or remove it to have a new one made"
        ) from error


def read_key(path: Path) -> EllipticCurvePrivateKey:
    """Return the private key in a PEM file. Raises OSError, UsageError."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not a private key: put it back") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise UsageError(f"{path} is not an elliptic-curve key: put it back")
    return key


def pem(certificate: x509.Certificate) -> bytes:
    """Return the content of a PEM file for a certificate."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Return the content of a PEM file for a private key, not encrypted."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
