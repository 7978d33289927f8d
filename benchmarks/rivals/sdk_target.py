"""A target as the SDK's cookiecutter template begins it: a RecordSink that posts each record.

python -m benchmarks.rivals.sdk_target --config CONFIG < messages.jsonl
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import requests
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import RecordSink
from typing_extensions import override

from benchmarks.rivals.login import login


class KafineaSink(RecordSink):
    """One module."""

    @cached_property
    def _http(self) -> requests.Session:
        return requests.Session()

    @cached_property
    def _session(self) -> str:
        return login(self._http, self.config)

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        sent = {
            "operation": "create",
            "sessionName": self._session,
            "elementType": self.stream_name,
            "element": json.dumps(record, default=str),
        }
        answer = self._http.post(self.config["url"], data=sent).json()
        if not answer["success"]:
            raise RuntimeError(answer["error"]["code"])


class SdkTarget(Target):
    """The target."""

    name = "target-cookiecutter"
    default_sink_class = KafineaSink
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType, required=True),
        th.Property("username", th.StringType, required=True),
        th.Property("access_key", th.StringType, required=True, secret=True),
    ).to_dict()


if __name__ == "__main__":
    SdkTarget.cli()
