"""The files in deploy/, checked without containers.

They must name only what exists, and keep their own promises.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import repository
from support.source import MODULES, aliases, dotted, metric_calls

from rpm_stream import __version__
from rpm_stream.app.kafka.access import Role
from rpm_stream.app.kafka.acl_text import kafka_users as kafka_users_of
from rpm_stream.app.kafka.names import FRAMES, REJECTS
from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.stages.restarts import PORTS_AFTER

DEPLOY = repository("deploy")
ROOT = DEPLOY.parent
PROMETHEUS = DEPLOY / "prometheus"
OWN_IMAGE = f"rpm-stream:{__version__}"
LIBRARY_METRICS = frozenset({"process_resident_memory_bytes", "process_start_time_seconds"})
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


COMPOSE = load(DEPLOY / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = ("keys", "access", "topics")  # each runs once, before what depends on it
USERS = {
    **{stage: stage for stage in STAGES},
    "reconcile": "reconcile",
    "topics": "operator",
    "operator": "operator",
}
OURS = {name: service for name, service in SERVICES.items() if service["image"] == OWN_IMAGE}


def promtool(*arguments: str, cwd: Path) -> None:
    """Run promtool and fail with its output. Skips if it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool on the PATH (Debian: it is in the package prometheus)")
    ran = subprocess.run(
        [program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


# --- compose --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_services_come_back(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.match(service["image"]), service["image"]
    assert service["restart"] == (
        "on-failure" if name in ONCE else "no" if name == "operator" else "unless-stopped"
    )


def test_every_stage_is_a_service_with_its_command() -> None:
    """The names are the hosts of prometheus.yml, and `rpm-stream` has the commands."""
    assert {name: OURS[name]["command"] for name in STAGES} == {
        name: ["worker", "--stages", name] for name in STAGES
    }
    assert set(OURS) == {"reconcile", "operator", *ONCE, *STAGES}


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_knows_each_command(name: str) -> None:
    """With `--help` after the command, typer checks the words before it and runs nothing."""
    words = [
        word
        for word in OURS[name]["command"]
        if re.fullmatch("[a-z]+", word) and word not in STAGES
    ]
    program = Path(sys.executable).with_name("rpm-stream")
    ran = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for option in (word for word in OURS[name]["command"] if word.startswith("-")):
        assert option in ran.stdout


@pytest.mark.parametrize("name", OURS)
def test_only_settings_that_exist_are_set(name: str) -> None:
    given = {key for key in OURS[name].get("environment", {}) if key.startswith("RPM_")}
    assert given <= {f"RPM_{setting.upper()}" for setting in Settings.model_fields}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_few_rights(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_exists(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for volume in service.get("volumes", []):
        source = volume.split(":")[0] if isinstance(volume, str) else volume["source"]
        assert (
            (DEPLOY / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]
        )


@pytest.mark.parametrize("name", STAGES)
def test_health_is_asked_where_the_stage_listens(name: str) -> None:
    port = Settings.model_fields["metrics_port"].default + STAGES.index(name)
    expected = {"feed": f"http://127.0.0.1:{Settings.model_fields['feed_port'].default}/healthz"}
    assert OURS[name]["environment"]["HEALTH_URL"] == expected.get(
        name, f"http://127.0.0.1:{port}/metrics"
    )


@pytest.mark.parametrize(("name", "user"), USERS.items())
def test_each_service_signs_in_as_its_role_and_sees_no_other_users_files(
    name: str, user: str
) -> None:
    environment = OURS[name]["environment"]
    assert (environment["RPM_KAFKA_PROTOCOL"], environment["RPM_KAFKA_USER"]) == (
        "SASL_SSL",
        Role(user),
    )
    keys = [volume for volume in OURS[name]["volumes"] if isinstance(volume, dict)]
    place = {"subpath": f"keys/users/{user}"}
    assert keys == [
        {
            "type": "volume",
            "source": "keys",
            "target": "/run/kafka",
            "read_only": True,
            "volume": place,
        }
    ]
    for setting, file in (
        ("RPM_KAFKA_CA", "authority.pem"),
        ("RPM_KAFKA_PASSWORD_FILE", "password"),
    ):
        assert environment[setting] == f"/run/kafka/{file}"


def test_kafka_takes_nobody_in_the_clear() -> None:
    environment = SERVICES["kafka"]["environment"]
    protocols = dict(
        pair.split(":") for pair in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert protocols == {
        "INSIDE": "SASL_SSL",
        "OUTSIDE": "SASL_SSL",
        "ADMIN": "SSL",
        "CONTROLLER": "SSL",
    }
    assert {one.split("://")[0] for one in environment["KAFKA_LISTENERS"].split(",")} == set(
        protocols
    )


def test_the_keys_are_made_where_kafka_and_the_services_look(tmp_path: Path) -> None:
    """Run the command of the service keys.

    The broker's properties must serve the listeners of the service kafka.
    """
    words = [
        str(tmp_path) if word == "/var/lib/rpm-stream/keys" else word
        for word in OURS["keys"]["command"]
    ]
    subprocess.run([sys.executable, "-m", "rpm_stream", *words], check=True, capture_output=True)
    for user in USERS.values():
        assert {path.name for path in (tmp_path / "users" / user).iterdir()} >= {
            "authority.pem",
            "password",
        }
    properties = (tmp_path / "broker/server.properties").read_text(encoding="utf-8")
    [mount] = [volume for volume in SERVICES["kafka"]["volumes"] if isinstance(volume, dict)]
    for file in re.findall(rf"{mount['target']}/(\S+)", properties):
        assert (tmp_path / "broker" / file).exists(), file
    for listener in ("inside", "outside"):
        assert f"listener.name.{listener}.scram-sha-512.sasl.jaas.config=" in properties
    assert "StandardAuthorizer" in properties
    words = OURS["access"]["command"]
    assert (
        f"ADMIN://{words[words.index('--certificates') + 1]}"
        in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )


def test_no_secret_has_a_default() -> None:
    """A token comes from outside. Without it the feed does not start, and the sink sends none."""
    environment = {
        key: value
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
    }
    secret = {
        key: value for key, value in environment.items() if re.search("TOKEN|PASSWORD$|SECRET", key)
    }
    assert set(secret) == {"RPM_TOKEN", "RPM_FHIR_TOKEN"}
    assert all(
        value is None or re.fullmatch(r"\$\{\w+:\?[^}]+\}", value) for value in secret.values()
    )


# --- Kafka users ----------------------------------------------------------------------------------


def kafka_users() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((DEPLOY / "kafka/users.yaml").read_text(encoding="utf-8"))
    return {user["metadata"]["name"]: user["spec"] for user in documents}


def test_the_users_are_those_of_the_table() -> None:
    """On a difference run: rpm-stream topics acls --strimzi rpm --user gw-17.

    Put its output below the comment of the file.
    """
    users = {role.value: role for role in Role if role is not Role.GATEWAY} | {
        "gw-17": Role.GATEWAY
    }
    text = (DEPLOY / "kafka/users.yaml").read_text(encoding="utf-8")
    assert "".join(
        line for line in text.splitlines(True) if not line.startswith("#")
    ) == kafka_users_of(users, "rpm")


def test_a_gateway_may_write_frames_read_rejects_and_no_more_than_its_quota() -> None:
    """The client's consumer group is named after the gateway."""
    gateway = kafka_users()["gw-17"]
    rights = {
        rule["resource"]["name"]: set(rule["operations"])
        for rule in gateway["authorization"]["acls"]
    }
    assert rights == {
        FRAMES: {"Write"},
        REJECTS: {"Read"},
        "rpm-gateway-gw-17": {"Read"},
    }
    assert all(
        rule["resource"]["patternType"] == "literal" for rule in gateway["authorization"]["acls"]
    )
    assert gateway["quotas"]["producerByteRate"] > 0


def test_no_stage_has_a_quota() -> None:
    assert [name for name, user in kafka_users().items() if "quotas" in user] == ["gw-17"]


# --- Dockerfile -----------------------------------------------------------------------------------


def dockerfile() -> list[tuple[str, str]]:
    """Return its instructions as (word, rest), with continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")
    ]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def of(word: str) -> list[str]:
    return [rest for instruction, rest in dockerfile() if instruction == word]


def test_bases_are_pinned_and_the_last_is_not_the_builder() -> None:
    bases = [rest.split()[0] for rest in of("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1, "what is built on one base runs on another"
    assert all(PINNED.match(base) for base in bases)


def test_everything_is_installed_by_hash_or_from_this_checkout() -> None:
    installs = [
        part
        for rest in of("RUN")
        for part in rest.split("&&")
        if re.search(r"pip (install|wheel)", part)
    ]
    assert len(installs) == 4
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)


def test_it_runs_as_nobody_in_particular_and_is_asked_for_its_health() -> None:
    assert of("USER") == ["10001:10001"]
    assert len(of("HEALTHCHECK")) == 1
    assert of("ENTRYPOINT") == ['["rpm-stream"]']
    after_user = [
        word for word, _ in dockerfile()[[word for word, _ in dockerfile()].index("USER") :]
    ]
    assert "RUN" not in after_user and "COPY" not in after_user


def test_what_is_copied_exists_and_is_let_into_the_context() -> None:
    copied = [
        source
        for rest in of("COPY")
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in allowed, source


# --- Prometheus and Grafana -----------------------------------------------------------------------


def rules(kind: str) -> list[dict[str, Any]]:
    """Return the rules of alerts.yml of a kind, "alert" or "record"."""
    groups = load(PROMETHEUS / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules("alert") + rules("record")] + panel_expressions()


def panel_expressions() -> list[str]:
    dashboard = json.loads(
        (DEPLOY / "grafana/dashboards/rpm-stream.json").read_text(encoding="utf-8")
    )
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def exported_metrics() -> dict[str, str]:
    """Return metric names as Prometheus sees them, from the source.

    They are the samples that each metric writes, with the metric's class.
    """
    suffixes = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}
    found: dict[str, str] = {}
    for path in MODULES:
        for call in metric_calls(path):
            assert isinstance(call.args[0], ast.Constant)
            kind = (dotted(call.func, aliases(path)) or "").rpartition(".")[2]
            base = str(call.args[0].value).removesuffix("_total")
            found |= {base + suffix: kind for suffix in suffixes[kind]}
    return found


def test_every_metric_that_is_asked_for_exists() -> None:
    """An alert on a metric that no stage writes never fires."""
    recorded = {rule["record"] for rule in rules("record")}
    asked = {
        name
        for text in expressions()
        for name in re.findall(r"\b(?:rpm|process)[_:][a-z0-9_:]+", text)
    }
    assert len(asked) > 15
    assert asked - recorded - LIBRARY_METRICS <= set(exported_metrics())


def test_what_is_recorded_is_used() -> None:
    text = " ".join(expressions())
    assert [rule["record"] for rule in rules("record") if rule["record"] not in text] == []


def test_every_alert_says_how_bad_and_what_to_do() -> None:
    assert len(rules("alert")) > 10
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_prometheus_asks_each_stage_on_its_port() -> None:
    found = load(PROMETHEUS / "prometheus.yml")["scrape_configs"][0]["dns_sd_configs"]
    first = Settings.model_fields["metrics_port"].default
    asked = (*STAGES, "reconcile")
    assert {(one["names"][0], one["port"]) for one in found} == {
        (name, first + n) for n, name in enumerate(asked)
    }


def test_prometheus_asks_each_supervisor_on_its_port() -> None:
    jobs = {job["job_name"]: job for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    first = Settings.model_fields["metrics_port"].default + PORTS_AFTER
    asked = {(one["names"][0], one["port"]) for one in jobs["rpm-supervisor"]["dns_sd_configs"]}
    assert asked == {(name, first + n) for n, name in enumerate(STAGES)}


def test_promtool_accepts_configuration_and_rules() -> None:
    promtool("check", "config", "prometheus.yml", cwd=PROMETHEUS)


def test_the_alerts_pass_their_own_tests() -> None:
    promtool("test", "rules", "alerts.test.yml", cwd=PROMETHEUS)


def test_promtool_parses_every_panel(tmp_path: Path) -> None:
    """Each panel's expression becomes a recording rule, so that Prometheus' own parser reads it."""
    texts = [text.replace("$__rate_interval", "5m") for text in panel_expressions()]
    rows = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(texts)]
    text = yaml.safe_dump({"groups": [{"name": "panels", "rules": rows}]})
    (tmp_path / "panels.yml").write_text(text, encoding="utf-8")
    promtool("check", "rules", "panels.yml", cwd=tmp_path)


def test_the_dashboard_is_provisioned_and_its_panels_do_not_overlap() -> None:
    dashboard = json.loads(
        (DEPLOY / "grafana/dashboards/rpm-stream.json").read_text(encoding="utf-8")
    )
    source = load(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
    provider = load(DEPLOY / "grafana/provisioning/dashboards/rpm-stream.yaml")["providers"][0]
    assert any(
        volume.split(":")[1] == provider["options"]["path"]
        for volume in SERVICES["grafana"]["volumes"]
    )
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"] if "targets" in panel} == {
        source["uid"]
    }
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert cells.isdisjoint(own) and at["x"] + at["w"] <= 24, panel["title"]
        cells |= own
