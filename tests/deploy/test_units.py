"""The units as systemd itself reads them, offline: no systemd runs here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from release_parts.units import rendered

from tests.deploy.needed import program
from tests.world import ROOT

EXPOSURE_MAX = 1.5
"""Of 10; systemd calls what is below 2 well protected."""


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Both, filled in."""
    (tmp_path / "current" / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / "current" / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    values = {
        "PATH": str(tmp_path),
        "USER": "alittlebitofmoney",
        "PORT": "3000",
        "DATA": str(tmp_path),
        "STOP_SECONDS": "100",
    }
    paths: list[str] = []
    for name, text in rendered(ROOT, values).items():
        (tmp_path / name).write_text(text)
        paths.append(str(tmp_path / name))
    return paths


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze", "systemd"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ))


def test_systemd_understands_the_units(units: list[str]):
    """Every line is known and every program is there: `systemd-analyze verify` says nothing."""
    said = analyze("verify", "--man=no", *units)

    assert said.returncode == 0
    assert said.stdout + said.stderr == ""


def test_the_service_is_locked_up(units: list[str]):
    """`systemd-analyze security` rates its exposure below 1.5 of 10."""
    [service] = [unit for unit in units if unit.endswith(".service")]
    said = analyze("security", "--offline=true", "--json=short", "--threshold", str(int(EXPOSURE_MAX * 10)), service)

    exposed = {row["json_field"]: row["exposure"] for row in json.loads(said.stdout) if row["exposure"]}
    assert said.returncode == 0, exposed
    assert "PrivateNetwork" in exposed  # it sells to the world
    assert not exposed.keys() & {"NoNewPrivileges", "ProtectHome", "ProtectSystem", "PrivateUsers"}


def test_the_longest_call_ends_before_systemd_loses_patience():
    """TimeoutStopSec is the drain and what settling may take after it."""
    text = (ROOT / "deploy" / "alittlebitofmoney.service").read_text()

    assert "TimeoutStopSec=@STOP_SECONDS@" in text
    assert "KillMode=mixed" in text  # SIGTERM goes to the server alone
