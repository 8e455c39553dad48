"""Clients of real child processes with a toy engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from backend.client import BackendClient
from tests.protocol.children import FAKE_SERVER

# How long one example takes says more about the machine than about the code.
settings.register_profile("omomi", deadline=None)
settings.load_profile("omomi")


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
