"""How a client signs in, by the settings: every combination, and one line for each that is
wrong.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rpm_stream.app.broker import keys as broker_keys
from rpm_stream.app.kafka.security import security
from rpm_stream.app.runtime.errors import UsageError


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> broker_keys.Folder:
    monkeypatch.chdir(tmp_path)
    folder = broker_keys.Folder(tmp_path / "keys")
    broker_keys.prepare(folder, ("localhost",))
    return folder


def test_without_settings_it_is_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert security().arguments() == {}
    assert security().faust() is None


@pytest.mark.parametrize("from_file", [True, False])
def test_a_user_with_a_password(
    keys: broker_keys.Folder, monkeypatch: pytest.MonkeyPatch, from_file: bool
) -> None:
    password = broker_keys.password_of(keys, "ingest")
    name, value = ("_FILE", str(keys.user("ingest") / "password")) if from_file else ("", password)
    monkeypatch.setenv("RPM_KAFKA_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("RPM_KAFKA_CA", str(keys.authority))
    monkeypatch.setenv("RPM_KAFKA_USER", "ingest")
    monkeypatch.setenv(f"RPM_KAFKA_PASSWORD{name}", value)
    given = security().arguments()
    assert given.pop("ssl_context").current().get_ca_certs()
    assert given == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ingest",
        "sasl_plain_password": password,
    }
    faust = security().faust()
    assert (faust.protocol.value, faust.mechanism.value, faust.password) == (
        "SASL_SSL",
        "SCRAM-SHA-512",
        password,
    )
    assert password not in repr(security())


def test_a_client_certificate(keys: broker_keys.Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = broker_keys.client_certificate(keys, "ingest")
    for name, value in (
        ("PROTOCOL", "SSL"),
        ("CA", keys.authority),
        ("CERTIFICATE", certificate),
        ("KEY", key),
    ):
        monkeypatch.setenv(f"RPM_KAFKA_{name}", str(value))
    assert set(security().arguments()) == {
        "security_protocol",
        "ssl_context",
    }
    assert security().faust().protocol.value == "SSL"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"USER": "ingest"}, "in the clear"),
        ({"CA": "authority.pem"}, "in the clear"),
        ({"PASSWORD": "x"}, "in the clear"),
        ({"MECHANISM": "OAUTHBEARER", "TOKEN_URL": "https://idp/token"}, "in the clear"),
        ({"PROTOCOL": "SSL", "USER": "ingest", "PASSWORD": "x"}, "set it to SASL_SSL"),
        ({"PROTOCOL": "SSL", "TOKEN_URL": "https://idp/token"}, "set it to SASL_SSL"),
        (
            {"PROTOCOL": "SASL_PLAINTEXT", "USER": "a", "PASSWORD": "x", "CA": "/nonexistent"},
            "uses no certificate",
        ),
        (
            {"PROTOCOL": "SASL_PLAINTEXT", "USER": "a", "PASSWORD": "x", "MECHANISM": "PLAIN"},
            "in the clear",
        ),
        (
            {
                "PROTOCOL": "SASL_PLAINTEXT",
                "USER": "a",
                "PASSWORD": "x",
                "MECHANISM": "OAUTHBEARER",
                "TOKEN_URL": "https://idp/token",
            },
            "in the clear",
        ),
        ({"PROTOCOL": "SASL_SSL"}, "needs RPM_KAFKA_USER"),
        ({"PROTOCOL": "SASL_SSL", "USER": "ingest"}, "RPM_KAFKA_PASSWORD"),
        (
            {"PROTOCOL": "SASL_SSL", "USER": "u", "PASSWORD": "secret", "PASSWORD_FILE": "x"},
            "one of",
        ),
        (
            {"PROTOCOL": "SASL_SSL", "USER": "u", "PASSWORD_FILE": "missing"},
            "missing cannot be read",
        ),
        ({"PROTOCOL": "SASL_SSL", "USER": "u", "PASSWORD_FILE": "empty"}, "empty is empty"),
        (
            {"PROTOCOL": "SASL_SSL", "USER": "u", "PASSWORD": "secret", "CA": "missing"},
            "RPM_KAFKA_CA: missing",
        ),
        ({"PROTOCOL": "SSL", "CA": "empty"}, "RPM_KAFKA_CA: empty"),
        ({"PROTOCOL": "SSL", "KEY": "empty"}, "needs RPM_KAFKA_CERTIFICATE"),
        ({"PROTOCOL": "SSL", "CERTIFICATE": "empty"}, "empty cannot be used"),
    ],
)
def test_what_is_wrong_is_one_line_without_a_secret(
    keys: broker_keys.Folder, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], line: str
) -> None:
    Path("empty").write_text("")
    for name, value in settings.items():
        monkeypatch.setenv(f"RPM_KAFKA_{name}", value)
    with pytest.raises(UsageError, match=line) as refused:
        security()
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
