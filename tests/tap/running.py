"""Runs the tap against a sandbox, within the process or as users do, and reads what it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from subprocess import CompletedProcess
from typing import Any

from singer_sdk.contrib.msgspec import MsgSpecWriter

from kafinea.errors import KafineaError
from kafinea_sandbox import Sandbox
from tap_kafinea.tap import TapKafinea
from tests import commands
from tests.commands import in_process


@dataclass
class Output:
    """The messages of one run."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    def ids(self, stream: str) -> list[str]:
        return [record["id"] for record in self.records(stream)]

    def schema(self, stream: str) -> dict[str, Any]:
        return next(
            message["schema"]
            for message in self.messages
            if message["type"] == "SCHEMA" and message["stream"] == stream
        )

    @property
    def states(self) -> list[dict[str, Any]]:
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1]

    def bookmark(self, stream: str) -> dict[str, Any]:
        return self.state["bookmarks"][stream]


def parse(lines) -> Output:
    return Output([json.loads(line, parse_float=Decimal) for line in lines if line.strip()])


class _Collector(MsgSpecWriter):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def write_message(self, message) -> None:
        self.lines.append(bytes(self.format_message(message)).decode())


def settings(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {
        "url": sandbox.url,
        "username": sandbox.username,
        "access_key": sandbox.access_key,
        **more,
    }


def extract(sandbox: Sandbox, *, state=None, catalog=None, **more: Any) -> Output:
    """Run the tap within this process."""
    output, error = extract_through(sandbox, state=state, catalog=catalog, **more)
    if error:
        raise error
    return output


def extract_through(
    sandbox: Sandbox, *, state=None, catalog=None, **more: Any
) -> tuple[Output, KafineaError | None]:
    """Run the tap within this process; return also what it fails with at its end."""
    writer = _Collector()
    tap = TapKafinea(
        config=settings(sandbox, **more), state=state, catalog=catalog, message_writer=writer
    )
    error = None
    try:
        tap.sync_all()
    except KafineaError as failure:
        error = failure
    finally:
        tap.client.close()
    return parse(writer.lines), error


def discover(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    tap = TapKafinea(config=settings(sandbox, **more))
    try:
        return tap.catalog_dict
    finally:
        tap.client.close()


def command(*arguments: str, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Run the command `tap-kafinea` within this process."""
    return in_process(TapKafinea, *arguments, env=env)


def program(*arguments: str, **options: Any) -> CompletedProcess[str]:
    """Run the command `tap-kafinea` as a user does."""
    return commands.program("tap_kafinea", *arguments, **options)
