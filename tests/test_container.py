"""The files for containers name what exists. `make audit` checks their syntax."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
STAGES = {
    name: text
    for text in re.split(
        r"^(?=FROM )", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE
    )[1:]
    for name in re.findall(r"^FROM \S+ AS (\w+)", text)
}


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_pinned_checks_its_health_and_is_for_a_user_without_rights(name):
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    if "build" in service:
        assert re.search(r"^USER (?!0|root)\w+$", STAGES[service["build"]["target"]], re.MULTILINE)
        assert service["build"]["args"]["PYTHON_IMAGE"].startswith("${PYTHON_IMAGE:-")
    else:
        assert re.fullmatch(r"\$\{\w+_IMAGE:-[\w:.-]+\}", service["image"])
        assert service["user"] not in {"root", "0"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_compose_names_what_it_has():
    volumes = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]
    }
    assert volumes == COMPOSE["volumes"].keys()
    sources = {
        each["source"] for service in SERVICES.values() for each in service.get("configs", [])
    }
    assert sources == COMPOSE["configs"].keys()
    address = r"postgres(?:ql\+\w+)?://\S+@(\w+)/(\w+)"
    found = re.findall(address, (ROOT / "compose.yaml").read_text("utf-8"))
    created = re.findall(r"CREATE DATABASE (\w+);", COMPOSE["configs"]["databases"]["content"])
    assert sorted(found) == [("postgres", name) for name in sorted(created)]


def test_passwords_are_in_the_environment_only():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("${")
            assert "://" not in value or re.search(r"://\w+:\$\{\w+\}@", value)
    example = (ROOT / ".env.example").read_text("utf-8")
    used = re.findall(r"\$\{(\w+)[:}]", (ROOT / "compose.yaml").read_text("utf-8"))
    assert {name for name in used if not name.endswith("_IMAGE")} <= set(
        re.findall(r"^(\w+)=", example, re.MULTILINE)
    )


def test_context_of_the_images_is_what_the_project_is_made_of():
    listed = re.findall(r"^!([\w.]+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    packages = {path.parent.name for path in ROOT.glob("*kafinea*/__init__.py")}
    assert packages <= set(listed)
    assert [path for path in listed if not (ROOT / path).exists()] == []
