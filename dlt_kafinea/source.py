"""The source: its settings, and the resources it finds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import dlt

from dlt_kafinea.files import FilesResource
from dlt_kafinea.instance import Instance
from dlt_kafinea.module import ModuleResource
from dlt_kafinea.relations import RelationResource
from dlt_kafinea.settings import Settings
from kafinea.describe import LINE_MODULE, MODIFIED, Module
from kafinea.errors import SettingsError
from kafinea.extract.file_rows import DOCUMENTS
from kafinea.extract.line_fields import line_module
from kafinea.extract.related_lists import RelatedLists

logger = logging.getLogger(__name__)


@dlt.source(name="kafinea", section="kafinea")  # type: ignore[untyped-decorator]  # dlt is not in .venv
def kafinea_source(
    url: str = dlt.config.value,
    username: str = dlt.config.value,
    access_key: str = dlt.secrets.value,
    modules: list[str] | None = None,
    timezone: str | None = None,
    start_date: str | None = None,
    lookback_seconds: float = 60,
    line_items: str = "table",
    relations: list[Any] | None = None,
    files: dict[str, Any] | None = None,
    deletions: str = "off",
    deletions_path: str = "deletions",
    deletions_limit: float = 10,
    page_size: int = 1000,
    max_sessions: int = 4,
    request_timeout: float = 120,
    allow_http: bool = False,
) -> Iterator[Any]:
    """Return a resource for each module of a Kafinea instance.

    Each argument can also be set in `config.toml` or `secrets.toml` under `[sources.kafinea]`, or
    as an environment variable, such as SOURCES__KAFINEA__ACCESS_KEY.

    Args:
        url: Address of the instance, such as https://apps.kafinea.com/YourKafinea.
        username: Name of the API user.
        access_key: Access key of the API user ("My preferences" in Kafinea), not the password.
        modules: Modules to extract: names or patterns, such as `Contacts` or `Project*`. `!`
            before one excludes it. All modules that the user can read if None.
        timezone: Time zone of the server's date-times, such as Europe/Paris. UTC if None, with a
            warning.
        start_date: On the first run of a module, extract only records modified at or after this
            time. A time without a UTC offset is in `timezone`.
        lookback_seconds: Number of seconds before the bookmark to read again, for records that
            were saved late.
        line_items: Lines of quotes, orders and invoices. `table`: a table for each module, such as
            `invoice_line_items`. `embed`: JSON in a column of each record, `line_items`. `off`:
            none.
        relations: Related lists to extract, such as `[{"module": "Campaigns", "related":
            "Contacts"}]`, or `["all"]`. Each is a table of pairs, such as `campaigns_contacts`.
        files: Whether to download the files of documents, such as `{"enabled": True, "path":
            "s3://my-bucket/files", "max_bytes": 100_000_000}`. The table `files` has their names
            and paths.
        deletions: How to find deleted records, whose rows are then deleted. `scan`: compare the ids
            with those of the last scan. `sync`: use an undocumented operation of the server, for
            administrators. `off`: their rows stay.
        deletions_path: Folder or URL (s3://..., gs://..., az://...) where `scan` stores the ids.
        deletions_limit: Maximum percentage of a module's records that `scan` deletes at once. Above
            it, and above 20 records, none is deleted, and the log has an error. `100`: no limit.
        page_size: Maximum number of records in a request.
        max_sessions: Maximum number of concurrent sessions, and so of concurrent requests.
        request_timeout: Number of seconds to wait for the server to respond.
        allow_http: Accept `http://` for a host other than this machine. The access key is then not
            protected.

    Raises:
        SettingsError: An argument cannot be used, or `modules` names what cannot be read.
        KafineaError: The instance cannot be described.
    """
    instance = Instance(
        Settings(
            url=url,
            username=username,
            access_key=access_key,
            modules=modules or [],
            timezone=timezone,
            start_date=start_date,
            lookback_seconds=lookback_seconds,
            page_size=page_size,
            line_items=line_items,
            relations=relations or [],
            files=files or {},
            deletions=deletions,
            deletions_path=deletions_path,
            deletions_limit=deletions_limit,
            max_sessions=max_sessions,
            request_timeout=request_timeout,
            allow_http=allow_http,
        )
    )
    with instance.connect() as client:
        found = instance.modules(client)
        described = found.described
        if found.missing:
            raise SettingsError(" ".join(map(str, found.missing.values())))
        has_documents = line_items != "off" and any(module.is_inventory for module in described)
        line = line_module(client) if has_documents else None
        lists = RelatedLists(client, found).wanted(relations or [], described)
    for module in described:
        resource = ModuleResource(instance, module, line).as_dlt()
        # It has no `modifiedtime`: each run would read all lines, and documents bring theirs.
        resource.selected = not _is_brought(module, modules or [], has_documents=has_documents)
        yield resource
    for related in lists:
        yield RelationResource(instance, related).as_dlt()
    if instance.settings.of_files.enabled:
        yield from _files(instance, described)


def _is_brought(module: Module, named: list[str], *, has_documents: bool) -> bool:
    """Whether these are the lines, and their documents bring them."""
    return module.name == LINE_MODULE and has_documents and LINE_MODULE not in named


def _files(instance: Instance, modules: Sequence[Module]) -> Iterator[Any]:
    """Yield the resource of the files, if documents are extracted."""
    for module in modules:
        if module.name == DOCUMENTS:
            yield FilesResource(instance, is_incremental=MODIFIED in module.fields).as_dlt()
            return
    logger.warning(
        "`files.enabled` has no effect, because the module %s is not extracted.", DOCUMENTS
    )
