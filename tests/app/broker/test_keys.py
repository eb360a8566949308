"""The secure broker's files: made once, kept, renewed in time, and their owner's alone."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from cryptography import x509

from rpm_stream.app.broker import keys as broker_keys
from rpm_stream.app.broker.keys import Folder, client_certificate, password_of, prepare
from rpm_stream.app.broker.secure import Secure
from rpm_stream.app.kafka.access import Role
from rpm_stream.app.runtime.errors import UsageError

HOSTS = ("127.0.0.1", "localhost")
NOW = datetime.now(UTC)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def shakes_hands(folder: Folder, host: str, client: tuple[Path, Path] | None = None) -> bool:
    """A handshake in memory between the broker's certificate and a client that trusts the
    authority.
    """
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder.authority))
    server_side.load_cert_chain(folder.broker / "broker.pem", folder.broker / "broker.key")
    client_side = ssl.create_default_context(cafile=str(folder.authority))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    if client is not None:
        server_side.verify_mode = ssl.CERT_REQUIRED
        client_side.load_cert_chain(*client)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server_side.wrap_bio(there, back, True), client_side.wrap_bio(back, there, False, host)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return all(end.version() for end in ends)


def test_a_second_start_keeps_everything(tmp_path: Path) -> None:
    secure = Secure(tmp_path)
    secure.prepare()
    secure.add("gw-17", Role.GATEWAY, certificate=True)
    secure.write_settings("127.0.0.1:9092")
    before = contents(tmp_path)
    again = Secure(tmp_path)
    again.prepare()
    again.write_settings("127.0.0.1:9092")
    assert contents(tmp_path) == before
    assert set(again.users()) == {*(role.value for role in Role), "gw-17"}


def test_every_file_is_its_owners_alone(tmp_path: Path) -> None:
    secure = Secure(tmp_path / "secure")
    secure.prepare()
    secure.add("gw-17", Role.GATEWAY, certificate=True)
    secure.write_settings("127.0.0.1:9092")
    paths = [tmp_path / "secure", *(tmp_path / "secure").rglob("*")]
    assert len(paths) > 30
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_each_user_has_its_own_password_and_no_settings_hold_it(tmp_path: Path) -> None:
    secure = Secure(tmp_path)
    secure.prepare()
    secure.write_settings("127.0.0.1:9092")
    passwords = {password_of(secure.folder, role) for role in Role}
    assert len(passwords) == len(Role)
    assert all(len(password) >= 43 for password in passwords)
    for role in Role:
        text = (secure.folder.user(role) / "kafka.env").read_text()
        assert not any(password in text for password in passwords)
        assert f"RPM_KAFKA_USER={role.value}\n" in text


def test_a_client_trusts_the_broker_by_each_of_its_names(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    prepare(folder, (*HOSTS, "kafka"))
    assert [shakes_hands(folder, host) for host in (*HOSTS, "kafka", "elsewhere")] == [
        True,
        True,
        True,
        False,
    ]


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    ours, theirs = Folder(tmp_path / "ours"), Folder(tmp_path / "theirs")
    prepare(ours, HOSTS)
    prepare(theirs, HOSTS)
    assert shakes_hands(ours, "localhost", client_certificate(ours, "gw-17"))
    assert not shakes_hands(ours, "localhost", client_certificate(theirs, "gw-17"))


def test_a_client_certificate_does_not_make_a_server(tmp_path: Path) -> None:
    """Else a gateway could pass for the broker."""
    folder = Folder(tmp_path)
    prepare(folder, HOSTS)
    certificate = x509.load_pem_x509_certificate(
        client_certificate(folder, "gw-17")[0].read_bytes()
    )
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose._name for purpose in purposes] == ["clientAuth"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(("days", "renewed"), [(300, False), (336, True), (400, True)])
def test_certificates_are_renewed_before_they_expire(
    tmp_path: Path, days: int, renewed: bool
) -> None:
    folder = Folder(tmp_path)
    prepare(folder, HOSTS, NOW - timedelta(days=days))
    client_certificate(folder, "gw-17", NOW - timedelta(days=days))
    before = contents(tmp_path)
    with structlog.testing.capture_logs() as logged:
        prepare(folder, HOSTS, NOW)
        client_certificate(folder, "gw-17", NOW)
    changed = {name for name, content in contents(tmp_path).items() if before[name] != content}
    if renewed:
        assert changed == {
            "broker/broker.p12",
            "broker/broker.pem",
            "broker/broker.key",
            "users/gw-17/client.pem",
            "users/gw-17/client.key",
        }
        assert [line["event"] for line in logged] == [
            "broker.certificate_renewed",
            "broker.certificate_renewed",
        ]
    else:
        assert (changed, logged) == (set(), [])
    assert shakes_hands(folder, "localhost", client_certificate(folder, "gw-17"))


def test_the_authority_is_renewed_with_its_key(tmp_path: Path) -> None:
    """Clients that have the new file trust what was signed before, too."""
    folder = Folder(tmp_path)
    prepare(folder, HOSTS, NOW - timedelta(days=3630))
    key = folder.authority.with_suffix(".key").read_bytes()
    with structlog.testing.capture_logs() as logged:
        prepare(folder, HOSTS, NOW)
    assert "broker.authority_renewed" in [line["event"] for line in logged]
    assert folder.authority.with_suffix(".key").read_bytes() == key
    assert (folder.broker / "authority.pem").read_bytes() == folder.authority.read_bytes()
    assert shakes_hands(folder, "localhost")


def test_another_name_of_the_broker_gives_another_certificate(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    prepare(folder, HOSTS)
    authority = folder.authority.read_bytes()
    prepare(folder, ("kafka",))
    assert shakes_hands(folder, "kafka")
    assert folder.authority.read_bytes() == authority


@pytest.mark.parametrize("name", ["authority.pem", "authority.key"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path)
    prepare(folder, HOSTS)
    (tmp_path / "authority" / name).write_text("torn")
    with pytest.raises(UsageError, match=name):
        prepare(folder, ("kafka",))


@pytest.mark.parametrize("name", ["authority.pem", "authority.key"])
def test_half_an_authority_is_never_replaced(tmp_path: Path, name: str) -> None:
    """A new one would lock out every client without a word."""
    folder = Folder(tmp_path)
    prepare(folder, HOSTS)
    (tmp_path / "authority" / name).unlink()
    with pytest.raises(UsageError, match=name):
        prepare(folder, HOSTS)


@pytest.mark.parametrize(
    "name", ["broker", "ingest", "gateway", "", "../up", "Gw", "a b", "a,CN=broker", "*", "ä"]
)
def test_a_name_that_cannot_be_a_users(tmp_path: Path, name: str) -> None:
    secure = Secure(tmp_path)
    secure.prepare()
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="cannot be a user"):
        secure.add(name, Role.OPERATOR)
    assert contents(tmp_path) == before


def test_a_user_cannot_be_added_where_no_broker_was(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no keys"):
        Secure(tmp_path).add("gw-17", Role.GATEWAY)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(UsageError, match=r"pip install 'rpm-stream\[broker\]'"):
        broker_keys.prepare(Folder(tmp_path), HOSTS)


def test_keys_for_a_broker_in_a_container(tmp_path: Path) -> None:
    """Its group may read what it needs, and nothing of the authority's or the users'."""
    command = [
        sys.executable,
        "-m",
        "rpm_stream",
        "broker",
        "keys",
        "--folder",
        str(tmp_path / "keys"),
        "--host",
        "kafka",
        "--bootstrap",
        "kafka:19092",
        "--seen-at",
        "/mnt/shared/config",
        "--listener",
        "INSIDE",
    ]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
    open_to_group = {
        path.relative_to(tmp_path).as_posix()
        for path in (tmp_path / "keys").rglob("*")
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    names = {"", "/server.properties", "/admin.properties", "/broker.p12", "/authority.pem"}
    assert open_to_group == {f"keys/broker{name}" for name in names}
    text = (tmp_path / "keys/broker/server.properties").read_text()
    assert "ssl.keystore.location=/mnt/shared/config/broker.p12\n" in text
    assert "listener.name.inside.scram-sha-512.sasl.jaas.config=" in text
