"""The container's files, as far as they can be held to something without a container engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from typer.testing import CliRunner

from angioatlas.cli.main import app
from core.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVED = DOCKERFILE.partition(" AS serve")[2]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def test_the_linter_accepts_the_dockerfile():
    beside = Path(sys.executable).with_name("hadolint")
    linter = shutil.which("hadolint") or (str(beside) if beside.exists() else None)
    if linter is None:
        pytest.skip("hadolint is not installed (extra dev)")
    done = subprocess.run(
        [linter, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_every_package_and_the_pins():
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    names = [each.removesuffix("*") for each in packaged["packages"]["find"]["include"]]
    kept = (ROOT / ".dockerignore").read_text().split()
    for name in names:
        if (ROOT / name).is_dir():
            assert f"COPY {name} {name}\n" in DOCKERFILE
            assert f"!{name}" in kept
    torch = re.search(r"torch==[\d.]+", (ROOT / "pyproject.toml").read_text())
    assert torch is not None
    assert torch[0] in DOCKERFILE
    installs = re.findall(r"pip install .*", DOCKERFILE)
    assert installs
    assert all("--constraint requirements.lock" in each for each in installs)


def test_nothing_of_the_repository_reaches_the_image_unnamed():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    named = {name for each in copied for name in each.split()}
    assert {f"!{name}" for name in named} == {line for line in lines if line.startswith("!")}


def test_it_runs_as_nobody_of_the_host():
    user = re.search(r"^USER (\d+):(\d+)$", SERVED, re.MULTILINE)
    assert user is not None
    assert int(user[1]) >= 10_000
    assert SERVED.index("USER") < SERVED.index("ENTRYPOINT")
    for service in SERVICES.values():
        assert service["user"] == f"{user[1]}:{user[2]}"


def test_its_settings_and_command_exist():
    for name in re.findall(r"\bANGIOATLAS_([A-Z_]+)=", SERVED):
        assert name.lower() in Settings.model_fields
    for service in SERVICES.values():
        for name in service["environment"]:
            section, _, field = name.removeprefix("ANGIOATLAS_").lower().partition("__")
            assert field in type(getattr(Settings(), section)).model_fields
    command = re.search(r'^CMD \["serve", (.*)\]$', SERVED, re.MULTILINE)
    assert command is not None
    told = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    for option in re.findall(r"--[a-z-]+", command[1]):
        assert option in told.output
    assert "--insecure-local" not in DOCKERFILE + str(SERVICES)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_a_server_that_is_ready(status, code):
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    check = re.search(r'CMD \["python", "-c", "(.*)"\]', SERVED)
    assert check is not None
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.handle_request).start()
        program = check[1].replace(":8000/", f":{server.server_port}/")
        assert program != check[1]
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=30, check=False
        )
    assert done.returncode == code


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_has_as_few_rights_as_it_needs(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert all(each.startswith("127.0.0.1:") for each in service["ports"])
    assert all("noexec" in each for each in service["tmpfs"])
    writable = {each["target"] for each in service["volumes"] if not each.get("read_only", False)}
    assert writable == {"/store", "/state"}
    assert service["mem_limit"]
    assert service["pids_limit"]


def test_the_graphics_card_is_asked_for_by_one_service():
    asking = {name for name, each in SERVICES.items() if "deploy" in each}
    assert asking == {"serve-gpu"}
    gpu = SERVICES["serve-gpu"]
    assert gpu["build"]["args"]["FLAVOUR"] == "gpu"
    device = gpu["deploy"]["resources"]["reservations"]["devices"][0]
    assert device["capabilities"] == ["gpu"]
