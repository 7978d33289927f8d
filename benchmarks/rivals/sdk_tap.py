"""A tap as the SDK's cookiecutter template begins it: RESTStream, offset paginator, dynamic schema.

python -m benchmarks.rivals.sdk_tap --config CONFIG [--catalog CATALOG] [--state STATE]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import requests
from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIAuthenticatorBase
from singer_sdk.exceptions import FatalAPIError
from singer_sdk.pagination import OffsetPaginator
from singer_sdk.streams.rest import HTTPRequest, PageContext
from typing_extensions import override

from benchmarks.rivals.login import login

PAGE_SIZE = 100
TYPES: dict[str, type[th.JSONTypeHelper[Any]]] = {
    "boolean": th.BooleanType,
    "integer": th.IntegerType,
    "double": th.NumberType,
    "currency": th.NumberType,
    "date": th.DateType,
    "datetime": th.DateTimeType,
}


class SessionAuthenticator(APIAuthenticatorBase):
    """One login; its session goes with each request."""

    def __init__(self, session: str) -> None:
        super().__init__()
        self.auth_params = {"sessionName": session}


class KafineaStream(RESTStream[int]):
    """One module."""

    path = ""
    records_jsonpath = "$.result[*]"
    primary_keys = ("id",)
    replication_key = "modifiedtime"
    is_sorted = True

    @property
    @override
    def url_base(self) -> str:
        url: str = self.config["url"]
        return url

    @cached_property
    @override
    def authenticator(self) -> SessionAuthenticator:
        assert isinstance(self._tap, SdkTap)
        return self._tap.authenticator

    @override
    def get_new_paginator(self) -> OffsetPaginator:
        return Paginator(start_value=0, page_size=PAGE_SIZE)

    @override
    def get_http_request(self, *, page: PageContext[int]) -> HTTPRequest:
        request = super().get_http_request(page=page)
        columns = ",".join(self.schema["properties"])
        since = self.get_starting_timestamp(page.stream_context)
        where = f" WHERE modifiedtime >= '{since:%Y-%m-%d %H:%M:%S}'" if since else ""
        request.params = {
            "operation": "query",
            "query": f"SELECT {columns} FROM {self.name}{where} ORDER BY modifiedtime,id "
            f"LIMIT {page.next_page_token},{PAGE_SIZE};",
        }
        return request

    @override
    def validate_response(self, response: requests.Response) -> None:
        super().validate_response(response)
        if response.content.startswith(b'{"success":false'):
            raise FatalAPIError(response.json()["error"]["code"])


class Paginator(OffsetPaginator):
    """Ends with an empty page."""


class SdkTap(Tap):
    """The tap."""

    name = "tap-cookiecutter"
    dynamic_catalog = True
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType, required=True),
        th.Property("username", th.StringType, required=True),
        th.Property("access_key", th.StringType, required=True, secret=True),
    ).to_dict()

    @cached_property
    def authenticator(self) -> SessionAuthenticator:
        """The one login."""
        return SessionAuthenticator(login(self._http, self.config))

    @cached_property
    def _http(self) -> requests.Session:
        return requests.Session()

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return [
            KafineaStream(self, name=name, schema=self._schema(name))
            for name in self._ask("listtypes")["types"]
        ]

    def _schema(self, module: str) -> dict[str, Any]:
        fields = self._ask("describe", elementType=module)["fields"]
        return th.PropertiesList(
            *(
                th.Property(field["name"], TYPES.get(field["type"]["name"], th.StringType))
                for field in fields
            )
        ).to_dict()

    def _ask(self, operation: str, **parameters: str) -> Any:
        asked = {"operation": operation, **parameters, **self.authenticator.auth_params}
        return self._http.get(self.config["url"], params=asked).json()["result"]


if __name__ == "__main__":
    SdkTap.cli()
