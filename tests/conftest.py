"""Clients of real child processes with a toy engine, and commands with the engine of a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from backend.cli import main
from backend.field.onnx_model import Model, load_model
from backend.protocol.client import BackendClient
from tests.children import FAKE_SERVER, Run
from tests.fakes import MeshEngine

# How long one example takes says more about the machine than about the code.
settings.register_profile("omomi", deadline=None)
settings.load_profile("omomi")


@pytest.fixture(scope="session")
def model() -> Model:
    """The shipped model."""
    return load_model("cpu", 1)


@pytest.fixture
def make_client() -> Iterator[Callable[..., BackendClient]]:
    """Clients that are closed at the end; the command is the fake server unless another is given."""
    clients: list[BackendClient] = []

    def make(command: list[str] | None = None, **options: Any) -> BackendClient:
        clients.append(BackendClient(command or FAKE_SERVER, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., BackendClient]) -> BackendClient:
    return make_client()


@pytest.fixture(scope="session")
def _spare_client() -> Iterator[BackendClient]:
    with BackendClient(FAKE_SERVER) as client:
        yield client


@pytest.fixture
def lasting_client(_spare_client: BackendClient) -> Iterator[BackendClient]:
    """A client of the fake server for tests that leave no job behind: its process starts once."""
    yield _spare_client
    _spare_client.poll()


@pytest.fixture
def omomi(engine: MeshEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Run:
    """Run a command in a folder with the meshes of the test's own engine."""
    monkeypatch.chdir(tmp_path)
    for name, mesh in engine.meshes.items():
        mesh.export(f"{name}.ply")

    def run(*words: object) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = main.main([*map(str, words), "--json"], lambda device, threads: engine)
        captured = capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    return run
