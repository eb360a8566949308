"""The sign-in of every Kafka client of the service, from the settings ``RPM_KAFKA_*``.

It serves aiokafka and Faust. Without settings a client does not encrypt. A wrong file or
combination is reported in one line before anything connects.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from rpm_stream.app.kafka.tls import FollowingContext
from rpm_stream.app.kafka.token import TokenEndpoint
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

# mechanism, user, password, file with the password
SignIn: TypeAlias = tuple[str, str | None, str | None, Path | None]
Token: TypeAlias = tuple[str | None, str | None]  # URL and scope
# authority, certificate, key, password of the key
KeyFiles: TypeAlias = tuple[Path | None, Path | None, Path | None, str | None]
IN_THE_CLEAR = frozenset({"PLAIN", "OAUTHBEARER"})  # mechanisms that send the secret itself


@dataclass(frozen=True)
class Security:
    """The credentials of a client. The password is never shown."""

    protocol: str = "PLAINTEXT"
    context: ssl.SSLContext | None = None
    mechanism: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tokens: TokenEndpoint | None = None  # OAUTHBEARER

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of aiokafka's clients, and of ``GatewayOptions.kafka``."""
        if self.protocol == "PLAINTEXT":
            return {}
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.context is not None:
            found["ssl_context"] = self.context
        if self.tokens is not None:
            found |= {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": self.tokens}
        elif self.mechanism is not None:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return found

    def faust(self) -> Any:
        """Return Faust's credentials, or None without security."""
        import faust
        from faust.types.auth import AuthProtocol

        if self.tokens is not None:
            return faust.auth.OAuthCredentials(oauth_cb=self.tokens, ssl_context=self.context)
        if self.mechanism is not None:
            credentials = faust.SASLCredentials(
                username=self.user,
                password=self.password,
                mechanism=self.mechanism,
                ssl_context=self.context,
            )
            credentials.protocol = AuthProtocol(self.protocol)
            return credentials
        return None if self.context is None else faust.SSLCredentials(self.context)


def security() -> Security:
    """Return the security of the settings. Raises UsageError."""
    settings = Settings()
    password = settings.kafka_password.get_secret_value() if settings.kafka_password else None
    key_password = (
        settings.kafka_key_password.get_secret_value() if settings.kafka_key_password else None
    )
    return _made(
        settings.kafka_protocol,
        (settings.kafka_mechanism, settings.kafka_user, password, settings.kafka_password_file),
        (settings.kafka_token_url, settings.kafka_token_scope),
        (settings.kafka_ca, settings.kafka_certificate, settings.kafka_key, key_password),
    )


@lru_cache(maxsize=4)
def _made(protocol: str, sign_in: SignIn, token: Token, files: KeyFiles) -> Security:
    _refuse_unused(protocol, sign_in, token, files)
    if protocol == "PLAINTEXT":
        return Security()
    context = _following(files) if protocol in ("SSL", "SASL_SSL") else None
    if protocol == "SSL":
        return Security(protocol, context)
    mechanism, user, password, file = sign_in
    if user is None or (password is None) == (file is None):
        raise UsageError(
            f"RPM_KAFKA_PROTOCOL {protocol} needs RPM_KAFKA_USER and one of RPM_KAFKA_PASSWORD and"
            " _FILE"
        )
    secret = password if file is None else _password(file)
    url, scope = token
    if (mechanism == "OAUTHBEARER") != (url is not None):
        raise UsageError("RPM_KAFKA_MECHANISM OAUTHBEARER and RPM_KAFKA_TOKEN_URL need each other")
    if protocol == "SASL_PLAINTEXT" and mechanism in IN_THE_CLEAR:
        raise UsageError(
            f"RPM_KAFKA_MECHANISM {mechanism} sends the password in the clear: set the protocol to"
            " SASL_SSL"
        )
    if url is None:
        return Security(protocol, context, mechanism, user, secret)
    return Security(
        protocol, context, mechanism, tokens=TokenEndpoint(url, user, secret or "", scope)
    )


def _refuse_unused(protocol: str, sign_in: SignIn, token: Token, files: KeyFiles) -> None:
    """Refuse settings that the protocol does not use.

    The person who set them believes that something is protected.
    """
    signs_in = sign_in[0] == "OAUTHBEARER" or any(sign_in[1:]) or any(token)
    if protocol == "PLAINTEXT" and (signs_in or any(files)):
        raise UsageError(
            "RPM_KAFKA_PROTOCOL is PLAINTEXT, and would send in the clear: set it to SASL_SSL"
            " or SSL"
        )
    if protocol == "SSL" and signs_in:
        raise UsageError(
            "RPM_KAFKA_PROTOCOL SSL signs nobody in by user or token: set it to SASL_SSL"
        )
    if protocol == "SASL_PLAINTEXT" and any(files):
        raise UsageError(
            "RPM_KAFKA_PROTOCOL SASL_PLAINTEXT uses no certificate: set it to SASL_SSL"
        )


def _following(files: KeyFiles) -> ssl.SSLContext:
    authority, certificate, key, _ = files
    if key is not None and certificate is None:
        raise UsageError("RPM_KAFKA_KEY needs RPM_KAFKA_CERTIFICATE")
    named = [file for file in (authority, certificate, key) if file is not None]
    return FollowingContext(partial(_context, files), named)


def _context(files: KeyFiles) -> ssl.SSLContext:
    authority, certificate, key, password = files
    try:
        context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"RPM_KAFKA_CA: {authority} holds no certificate in PEM ({type(error).__name__})"
        ) from None
    if certificate is not None:
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, password=lambda: password or "")
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"RPM_KAFKA_CERTIFICATE, RPM_KAFKA_KEY: {certificate} cannot be used"
                f" ({type(error).__name__})"
            ) from None
    return context


def _password(file: Path) -> str:
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"RPM_KAFKA_PASSWORD_FILE: {file} cannot be read ({type(error).__name__})"
        ) from None
    if not found:
        raise UsageError(f"RPM_KAFKA_PASSWORD_FILE: {file} is empty")
    return found
