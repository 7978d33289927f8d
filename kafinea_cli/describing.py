"""Describing modules, several at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import Refused, Unavailable
from kafinea.query import is_name


def described(client: Client, names: Iterable[str]) -> Iterator[tuple[str, Module | None]]:
    """Yield modules by their names; None for one that the server refuses, or fails at.

    Raises:
        KafineaError: The server is away.
    """

    def describe(name: str) -> Module | None:
        if not is_name(name):
            return None
        try:
            return client.giving_up_after(2).describe(name)
        except Refused:
            return None
        except Unavailable:
            client.listtypes()  # fails as well when the server is away
            return None

    names = list(names)
    threads = ThreadPoolExecutor(client.max_sessions)
    try:
        yield from zip(names, threads.map(describe, names), strict=True)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
