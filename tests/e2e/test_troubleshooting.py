"""Every message of docs/troubleshooting.md is one that users see: each is provoked here."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest

from kafinea.errors import StorageError
from kafinea.load import quiet_hours
from kafinea.load.reporting.ids_file import IdsFile
from kafinea.values import ServerZone
from kafinea_cli import ids
from kafinea_sandbox import Sandbox
from singer_kafinea.command import exit_code
from tap_kafinea.tap import TapKafinea
from tests.e2e import pages
from tests.kafinea.test_endless import ENDLESS, TOO_LONG
from tests.kafinea.test_first_contact import make_certificate, website
from tests.mutating_proxy import mutating
from tests.raw_server import Endless, serving
from tests.small_server import Raw, Refusal, SmallServer
from tests.small_server import serving as serving_small
from tests.stored_documents import stored_files
from tests.tap.running import discover, extract, settings
from tests.target.running import Files, command, empty, load, matched, messages
from tests.target.test_duplicate_creation import another_writer

pytestmark = pytest.mark.e2e

HEADING = re.compile(r"^### (`+) ?(.*?) ?\1$", re.MULTILINE)
HEADINGS = [match[2] for match in HEADING.finditer(pages.text_of("docs/troubleshooting.md"))]

MELTANOS_OWN = {"Failed to parse JSON array from string"}
"""What Meltano says by itself comes with a traceback."""

PROVOKED: dict[str, Callable[[Path], str]] = {}
"""What prints each message."""


def prints(heading: str) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    def note(provoke: Callable[[Path], str]) -> Callable[[Path], str]:
        PROVOKED[heading] = provoke
        return provoke

    return note


def test_messages_of_the_page_are_all_provoked():
    assert set(HEADINGS) == PROVOKED.keys()
    assert len(HEADINGS) == len(PROVOKED)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("heading", HEADINGS)
def test_message_is_printed_as_quoted(heading, tmp_path):
    printed = PROVOKED[heading](tmp_path)
    assert pages.first_missing(heading, printed) is None, printed
    assert ("Traceback" in printed) == (heading in MELTANOS_OWN), printed


def tap(directory: Path, config: dict[str, Any], *arguments: str) -> str:
    """Run the tap within this process, and return what it says."""
    path = directory / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    said = io.StringIO()
    argv = mock.patch.object(sys, "argv", ["tap-kafinea", "--config", str(path), *arguments])
    with argv, redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(said):
        exit_code(TapKafinea.cli, TapKafinea.logger)
    return said.getvalue()


def contacts(directory: Path, sandbox: Sandbox, **more: Any) -> str:
    """Extract the contacts."""
    return tap(directory, settings(sandbox, modules=["Contacts"], **more))


# Any command


def failing_with(error: Exception, directory: Path) -> str:
    with mock.patch.object(TapKafinea, "sync_all", side_effect=error), Sandbox(rows=50) as sandbox:
        return contacts(directory, sandbox)


@prints("... Please report this as a bug in ...")
def _(directory):
    return failing_with(KeyError("lastname"), directory)


@prints("... this machine has too little memory for the run")
def _(directory):
    return failing_with(MemoryError(), directory)


@prints("Failed to parse headers (url=...)")
def _(directory):
    server = SmallServer()
    first = {"Content_Length": "", "X": "a\r\nno header"}

    def before(operation, said):
        if operation == "listtypes":
            answer = {"success": True, "result": server._listtypes(said)}
            raise Raw(200, json.dumps(answer).encode(), **first)

    server.before = before
    with serving_small(server):
        config = {"url": server.url, "username": "admin", "access_key": "key"}
        return tap(directory, config, "--test")


@prints("The log cannot be set up (...)")
def _(_directory):
    return command("--about", env={"LOGLEVEL": "loud"}).stderr


@prints("...: objects and lists are nested too deep")
def _(directory):
    deep = directory / "state.json"
    deep.write_text("[" * 200 + "]" * 200)
    return tap(directory, {}, "--state", str(deep))


# Address, user and time zone


@prints("Settings: 'access_key' is a required property")
def _(directory):
    return tap(directory, {"url": "https://kafinea.example", "username": "ada"})


@prints("`access_key` is empty (TAP_KAFINEA_ACCESS_KEY)")
def _(directory):
    return tap(directory, {"url": "https://kafinea.example", "username": "ada", "access_key": ""})


@prints("TAP_KAFINEA_... is not a whole number")
def _(directory):
    with mock.patch.dict(os.environ, {"TAP_KAFINEA_PAGE_SIZE": "many"}):
        return tap(directory, {}, "--config", "ENV")


@prints("TAP_KAFINEA_... is neither true nor false")
def _(directory):
    with mock.patch.dict(os.environ, {"TAP_KAFINEA_DICTIONARY": "ture"}):
        return tap(directory, {}, "--config", "ENV")


@prints("`files` is not an object")
def _(directory):
    return tap(directory, {**_somewhere("https://kafinea.example"), "files": True})


@prints("There is no setting `...`")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux"}, dryrun=True)


@prints("The variable ... is not a setting. Did you mean ...?")
def _(directory):
    with mock.patch.dict(os.environ, {"TARGET_KAFINEA_DRYRUN": "true"}):
        return rejected("Contacts", {"lastname": "Roux"})


@prints("Kafinea has no active user '...'")
def _(directory):
    with empty() as sandbox:
        return tap(directory, {**settings(sandbox), "username": "nobody"})


@prints("Kafinea does not accept this access key for user '...'")
def _(directory):
    with empty() as sandbox:
        return tap(directory, {**settings(sandbox), "access_key": "wrong"})


@prints("`url` must be the address of your Kafinea")
def _(directory):
    return tap(directory, _somewhere("apps.kafinea.com/YourKafinea"))


@prints("`url` uses http, so the credentials would be sent to ... unencrypted")
def _(directory):
    return tap(directory, _somewhere("http://kafinea.example"))


@prints("There is no webservice.php at this `url`")
def _(directory):
    with empty() as sandbox:
        sandbox.faults.add("status", status=404, times=None)
        return tap(directory, settings(sandbox))


@prints("The host name ... cannot be resolved")
def _(directory):
    return tap(directory, _somewhere("https://kafinea.invalid"))


@prints("The certificate of ... is not accepted: ...")
def _(directory):
    with website(tls=make_certificate(directory)[1]) as port:
        return tap(directory, _somewhere(f"https://localhost:{port}"))


@prints("... does not use https at this port. Check `url`")
def _(directory):
    with website() as port:
        return tap(directory, _somewhere(f"https://localhost:{port}"))


@prints("... requires https. Write `https://` in `url`")
def _(directory):
    with website(tls=make_certificate(directory)[1]) as port:
        return tap(directory, _somewhere(f"http://localhost:{port}"))


@prints("REQUESTS_CA_BUNDLE is '...', but there is no such file")
def _(directory):
    return _with_variable(directory, REQUESTS_CA_BUNDLE=str(directory / "nowhere"))


@prints("The proxy ... (...) does not answer")
def _(directory):
    return _with_variable(directory, HTTPS_PROXY="http://127.0.0.1:9")


@prints("The proxy in ... is not a valid address")
def _(directory):
    return _with_variable(directory, HTTPS_PROXY="no address")


def _with_variable(directory: Path, **variable: str) -> str:
    with mock.patch.dict(os.environ, variable):
        for name in ("https_proxy", "NO_PROXY", "no_proxy"):
            os.environ.pop(name, None)
        return tap(directory, _somewhere("https://kafinea.example"))


@prints("The server redirects to another address ...")
def _(directory):
    with empty() as sandbox:
        sandbox.faults.add("redirect", times=None)
        return tap(directory, settings(sandbox))


@prints("... refuses the connection")
def _(directory):
    return tap(directory, _somewhere("http://127.0.0.1:9"))


@prints("... did not answer within ... s")
def _(directory):
    with empty() as sandbox:
        sandbox.faults.add("hang", operation="listtypes", seconds=0.3, times=None)
        return tap(directory, settings(sandbox, request_timeout=0.1))


@prints("... did not finish its answer")
def _(directory):
    endless = Endless(listtypes=ENDLESS["a body in drips"])
    with serving(endless) as url, mock.patch("kafinea.connection.PATIENCE", 2):
        return tap(directory, {**_somewhere(url), "request_timeout": 0.2})


@prints("The server's answer is too long: more than 64 MiB")
def _(directory):
    with serving(Endless(listtypes=TOO_LONG["a body of gzip"])) as url:
        return tap(directory, _somewhere(url))


def contacts_changed(directory: Path, operation: str, change: Callable[[Any], Any]) -> str:
    """Extract the contacts from a server that changes its answers to one operation."""
    with Sandbox(rows=50) as sandbox:

        def changed(asked: str, _: dict[str, str], result: Any) -> Any:
            return change(result) if asked == operation else result

        with mutating(sandbox.url, changed) as url:
            return contacts(directory, sandbox, url=url)


@prints("... the server's answer contains no ...")
def _(directory):
    return contacts_changed(directory, "describe", lambda _: [])


@prints("... the server returned ..., a record of another module. ...")
def _(directory):
    return contacts_changed(
        directory, "query", lambda rows: [*rows, *({**row, "id": "99x7"} for row in rows[-1:])]
    )


@prints("Kafinea is too busy for ... concurrent requests")
def _(directory):
    with Sandbox(rows=300) as sandbox:
        sandbox.faults.add("status", status=503, operation="query", times=3)
        return tap(directory, settings(sandbox))


@prints("`timezone` '...' is not a known time zone")
def _(directory):
    with empty() as sandbox:
        return tap(directory, settings(sandbox, timezone="Paris"))


@prints("`start_date` '...' is not a date")
def _(directory):
    return tap(directory, _somewhere("https://kafinea.example") | {"start_date": "yesterday"})


@prints("`timezone` is not set, so the server's date-times are read as UTC")
def _(directory):
    with empty() as sandbox:
        return contacts(directory, sandbox)


@prints("`timezone` is not set, so date-times are loaded and compared as UTC")
def _(directory):
    return conflict("2026-01-31T08:00:00Z")


@prints(
    "`timezone` looks wrong: read as ..., the newest `modifiedtime` of ... is ... (h:mm) ahead of "
    "the server's clock"
)
def _(directory):
    with Sandbox(rows=50, timezone="Europe/Paris") as sandbox:
        sandbox.insert("Contacts", {"lastname": "Roux"})
        return contacts(directory, sandbox, timezone="UTC")


@prints("`timezone` is ..., and was ... in the last run")
def _(directory):
    with Sandbox(rows=50) as sandbox:
        state = extract(sandbox, modules=["Contacts"]).state
        arguments = _file(directory, "state", state)
        config = settings(sandbox, modules=["Contacts"], timezone="Europe/Paris")
        return tap(directory, config, *arguments)


def _file(directory: Path, option: str, content: Any) -> tuple[str, str]:
    """Write a file of the command line, and return what names it there."""
    path = directory / f"{option}.json"
    path.write_text(json.dumps(content), "utf-8")
    return f"--{option}", str(path)


def _somewhere(url: str) -> dict[str, str]:
    return {"url": url, "username": "ada", "access_key": "secret"}


# The tap


@prints("Module '...' not found, or user '...' may not read it")
def _(directory):
    with empty() as sandbox:
        return tap(directory, settings(sandbox, modules=["Organisations"]))


@prints("`modules` selects no module")
def _(directory):
    with empty() as sandbox:
        return tap(directory, settings(sandbox, modules=["!*"]))


@prints("`modules` excludes '...', which is not a module")
def _(directory):
    with empty() as sandbox:
        return tap(directory, settings(sandbox, modules=["Tax", "!Campaign"]))


@prints("'...' is in `modules`, but not in the catalog")
def _(directory):
    with empty() as sandbox:
        catalog = _file(directory, "catalog", discover(sandbox, modules=["Leads"]))
        return tap(directory, settings(sandbox, modules=["Leads", "Contacts"]), *catalog)


@prints("`...` has no effect: the catalog has no stream for it")
def _(directory):
    with empty() as sandbox:
        catalog = _file(directory, "catalog", discover(sandbox, modules=["Leads"]))
        return tap(directory, settings(sandbox, modules=["Leads"], dictionary=True), *catalog)


@prints("The state contains ..., but user '...' can no longer see them in this instance")
def _(directory):
    state = {"bookmarks": {"Campaigns": {"replication_key_value": "2026-01-01T00:00:00Z"}}}
    with Sandbox(rows=50, absent=["Campaigns"]) as sandbox:
        return tap(directory, settings(sandbox), *_file(directory, "state", state))


def _with_catalog(directory: Path, change: Callable[[dict[str, Any]], None], **more: Any) -> str:
    """Extract with a catalog of two modules that was changed."""
    with empty() as sandbox:
        catalog = discover(sandbox, modules=["Contacts", "Tax"])
        for stream in catalog["streams"]:
            root = next(one for one in stream["metadata"] if not one["breadcrumb"])
            change(root["metadata"])
        return tap(directory, settings(sandbox, **more), *_file(directory, "catalog", catalog))


@prints("No stream is selected. Available: ...")
def _(directory):
    return _with_catalog(directory, lambda root: root.update(selected=False))


@prints("Nothing to extract: the catalog has no stream, or none that ... selects")
def _(directory):
    return _with_catalog(directory, lambda _: None, modules=["Leads"])


@prints("The catalog is not a Singer catalog")
def _(directory):
    with empty() as sandbox:
        return tap(directory, settings(sandbox), *_file(directory, "catalog", ["Contacts"]))


@prints("The catalog specifies the replication key '...'")
def _(directory):
    return _with_catalog(directory, lambda root: root.update({"replication-key": "createdtime"}))


@prints("... the catalog specifies INCREMENTAL, but the stream has no ...")
def _(directory):
    change = {"replication-method": "INCREMENTAL"}
    return _with_catalog(directory, lambda root: root.update(change))


@prints("... these fields are null, because the server refuses them in a query: ...")
def _(directory):
    with Sandbox(rows=50) as sandbox:
        catalog = _file(directory, "catalog", discover(sandbox, modules=["Contacts"]))
        sandbox.redefine("Contacts", without=["title"])
        return tap(directory, settings(sandbox), *catalog)


@prints("the server counts records and returns their ids, but nothing with these fields: ...")
def _(directory):
    with Sandbox(rows=50) as sandbox:
        sandbox.faults.add("empty", operation="query", contains="title", times=None)
        return contacts(directory, sandbox)


@prints("... of ... records could not be read")
def _(directory):
    with _hiding_a_contact() as sandbox:
        return contacts(directory, sandbox)


@prints("... is incomplete, ... null: ...")
@prints("... could not be read completely: ...")
def _(directory):
    with empty(unencodable={"Contacts": [_first_contact()]}) as sandbox:
        sandbox.insert("Contacts", {"lastname": "Martin"})
        return contacts(directory, sandbox)


def _first_contact() -> int:
    with empty() as sandbox:
        return int(sandbox.insert("Contacts", {"lastname": "Martin"}).partition("x")[2])


@prints("the server failed at ... records, so extraction of the module stopped before ...")
def _(directory):
    first = _first_contact()
    few = mock.patch("kafinea.recovery.MOST_BAD", 5)
    with few, empty(unencodable={"Contacts": range(first, first + 9)}) as sandbox:
        for n in range(9):
            sandbox.insert("Contacts", {"lastname": f"Martin {n}"})
        return contacts(directory, sandbox)


@prints("... records have no modifiedtime, for instance after an import into the database")
def _(directory):
    with empty() as sandbox:
        one = sandbox.insert("Contacts", {"lastname": "Martin"})
        sandbox.change("Contacts", one, {"modifiedtime": None})
        return contacts(directory, sandbox)


@prints("... is not complete: ...")
def _(directory):
    with Sandbox(rows=300) as sandbox:
        sandbox.faults.add("empty", operation="query", contains="ORDER BY id", times=None)
        return contacts(directory, sandbox)


@prints("`stream_maps`, ...: the expression fails for record ...")
def _(directory):
    return _mapped(directory, "description.upper()")


@prints("`stream_maps`: there is no stream `...`. Did you mean `...`?")
def _(directory):
    with Sandbox(rows=50) as sandbox:
        return contacts(directory, sandbox, stream_maps={"Contact": {"email": "None"}})


@prints("`stream_maps`, ...: the expression cannot be parsed")
def _(directory):
    return _mapped(directory, "description.upper(")


def _mapped(directory: Path, expression: str) -> str:
    with Sandbox(rows=300) as sandbox:
        return contacts(directory, sandbox, stream_maps={"Contacts": {"x": expression}})


@prints("... values do not fit the field's type and are null")
def _(directory):
    with Sandbox(rows=300) as sandbox:
        sandbox.change("Contacts", sandbox.rows("Contacts")[0]["id"], {"birthday": "soon"})
        return contacts(directory, sandbox)


@prints("--state ... is not JSON: see line ..., column ...")
def _(directory):
    state = directory / "state.json"
    state.write_text('{"bookmarks": {', "utf-8")
    with empty() as sandbox:
        return tap(directory, settings(sandbox), "--state", str(state))


@prints("The state is not a Singer state")
def _(directory):
    state = _file(directory, "state", {"Contacts": "2026-01-01T00:00:00Z"})
    with empty() as sandbox:
        return tap(directory, settings(sandbox), *state)


@prints("The state of ... contains a '...' that this tap did not write")
def _(directory):
    state = _file(directory, "state", {"bookmarks": {"Contacts": {"pass": {"until": 5}}}})
    with empty() as sandbox:
        return tap(directory, settings(sandbox), *state)


@prints("the bookmark in the state is ..., which is in the future")
def _(directory):
    bookmark = {"replication_key_value": "2999-01-01T00:00:00+00:00"}
    state = _file(directory, "state", {"bookmarks": {"Contacts": bookmark}})
    with empty() as sandbox:
        return tap(directory, settings(sandbox, modules=["Contacts"]), *state)


@prints("The output cannot be written: ...")
def _(directory):
    with Sandbox(rows=50) as sandbox, Path("/dev/full").open("w") as full:
        path = directory / "config.json"
        path.write_text(json.dumps(settings(sandbox, modules=["Contacts"])), "utf-8")
        line = [sys.executable, "-m", "tap_kafinea", "--config", str(path)]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        return done.stderr


@prints("The state belongs to another Kafinea instance, ...")
def _(directory):
    bookmark = {"url": "https://old.example/webservice.php"}
    state = directory / "state.json"
    state.write_text(json.dumps({"bookmarks": {"Contacts": bookmark}}), "utf-8")
    with empty() as sandbox:
        return tap(directory, settings(sandbox, modules=["Contacts"]), "--state", str(state))


@prints("The catalog selects the stream 'files', but `files.enabled` is off")
def _(directory):
    catalog = directory / "catalog.json"
    with Sandbox(rows=300) as sandbox:
        found = discover(sandbox, modules=["Documents"], files={"enabled": True})
        catalog.write_text(json.dumps(found), "utf-8")
        return tap(directory, settings(sandbox), "--catalog", str(catalog))


@prints("the server returns these documents without lines")
def _(directory):
    with Sandbox(dialect="corebos", rows=300) as sandbox:
        sandbox.sql("DELETE FROM LineItem")
        return tap(directory, settings(sandbox, modules=["Invoice"]))


@prints("... of ... files could not be downloaded")
def _(directory):
    return _fetched_without(directory, lambda sandbox: stored_files(sandbox)[0]["id"])


@prints("This server offers no file downloads: it has neither the operation files_retrieve nor ...")
def _(directory):
    return _fetched_without(directory, lambda _: None)


def _fetched_without(directory: Path, choose: Callable[[Sandbox], str | None]) -> str:
    """Extract the files of a server that fails at one of them, or at all."""
    with Sandbox(rows=500) as sandbox:
        fails = {"operation": "files_retrieve", "contains": choose(sandbox), "status": 500}
        sandbox.faults.add("status", times=None, **fails)
        files = {"enabled": True, "path": str(directory / "files")}
        return tap(directory, settings(sandbox, modules=["Documents"], files=files))


@prints(
    "Deletion detection skipped for ...: ... records cannot be read by this user and would look "
    "deleted"
)
def _(directory):
    with _hiding_a_contact() as sandbox:
        path = str(directory / "ids")
        return contacts(directory, sandbox, deletions="scan", deletions_path=path)


@prints(
    "Deletion detection failed for ...: ... of ... known records of ... are missing, but not all "
    "of them were deleted: ..."
)
def _(directory):
    return _missing(directory, 30, _give_away)


@prints(
    "Deletion detection failed for ...: ... of ... known records of ... are missing, more than "
    "`deletions_limit` (...) allows at once. ..."
)
def _(directory):
    return _missing(directory, 30, lambda sandbox, one: sandbox.remove("Contacts", one))


@prints("user ... may no longer see ... records, such as ...")
def _(directory):
    return _missing(directory, 3, _give_away)


def _give_away(sandbox: Sandbox, contact: str) -> None:
    sandbox.change("Contacts", contact, {"assigned_user_id": 1})


def _missing(directory: Path, count: int, lose: Callable[[Sandbox, str], None]) -> str:
    """Extract the contacts of a user who does not see some of them any more."""
    with Sandbox(rows=300, private=["Contacts"]) as sandbox:
        joe = {"username": "joe", "access_key": sandbox.access_key_of("joe")}
        config = {"deletions": "scan", "deletions_path": str(directory / "ids"), **joe}
        owner = sandbox.instance.user_named("joe").number
        contact = {"lastname": "Roux", "assigned_user_id": owner}
        mine = [sandbox.insert("Contacts", contact) for _ in range(40)]
        contacts(directory, sandbox, **config)
        for one in mine[:count]:
            lose(sandbox, one)
        return contacts(directory, sandbox, **config)


def _hiding_a_contact() -> Sandbox:
    with Sandbox(rows=300) as sandbox:
        number = int(sandbox.rows("Contacts")[0]["id"].partition("x")[2])
    return Sandbox(rows=300, hidden={"Contacts": [number]})


# The target


@prints("Stream '...': module '...' not found, or this user may not use it")
def _(directory):
    return rejected("visitors", {"lastname": "Roux"})


@prints("... has no field '...'")
def _(directory):
    return rejected("Contacts", {"Lastname": "Roux"})


@prints("this user may neither create nor update ...")
def _(directory):
    with empty(closed={"Contacts": ["create", "update"]}) as sandbox:
        return load(sandbox, messages("Contacts", {"lastname": "Roux"}), check=False).stderr


@prints("Rejected records: ..., more than `max_rejects` (...) allows")
def _(directory):
    return rejected("Contacts", {"firstname": "Ada"})


@prints("Stream '...': all of its records were rejected")
def _(directory):
    return rejected("Contacts", {"firstname": "Ada"}, max_rejects=-1)


@prints("`streams`: the input has no stream '...'")
def _(directory):
    return rejected("Contacts", {"firstname": "Ada"}, streams={"visitors": {}}, max_rejects=-1)


def mirrored(**stream):
    with empty() as sandbox:
        lines = [*messages("Contacts", {"lastname": "Roux"}), '{"type": "STATE", "value": {}}']
        streams = {"Contacts": {**LASTNAME["Contacts"], **stream}}
        return load(sandbox, lines, streams=streams, load_method="mirror", check=False).stderr


@prints("Stream '...': nothing was deleted: ...")
def _(directory):
    with empty() as sandbox:
        streams = {"Contacts": {**LASTNAME["Contacts"], "mirror_where": "title = 'Buyer'"}}
        lines = messages("Contacts", {"lastname": "Roux"})
        return load(sandbox, lines, streams=streams, load_method="mirror", check=False).stderr


@prints("with `load_method` `mirror`, set `mirror_where` to the part of ... that this stream owns")
def _(directory):
    return mirrored()


@prints("... records of the input do not fulfil `mirror_where` (...) after the load")
def _(directory):
    return mirrored(mirror_where="title = 'Buyer'")


@prints("Quiet hours: nothing is written until ... The run waits.")
def _(directory):
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    moments = iter([datetime(2026, 1, 31, 9, tzinfo=timezone.utc)] * 3)
    after = datetime(2026, 1, 31, 18, tzinfo=timezone.utc)
    hours = quiet_hours.QuietHours.parse("08:00-18:00")
    pauses = quiet_hours.Pauses(hours, ServerZone(), lambda _: None, lambda: next(moments, after))
    quiet_hours.logger.addHandler(handler)
    quiet_hours.logger.setLevel(logging.INFO)
    try:
        pauses.keep()
    finally:
        quiet_hours.logger.removeHandler(handler)
        quiet_hours.logger.setLevel(logging.NOTSET)
    return logged.getvalue()


@prints("`quiet_hours` '...' must be two different times of day, such as 08:00-18:00")
def _(directory):
    with empty() as sandbox:
        lines = messages("Contacts", {"lastname": "Roux"})
        return load(sandbox, lines, quiet_hours="8-18", check=False).stderr


@prints("`ids_path` '...' must be a file, which a run replaces")
def _(directory):
    with empty() as sandbox:
        return load(sandbox, ids_path="/dev/null", check=False).stderr


@prints("`ids_path` '...' is in use by another run")
def _(directory):
    path = str(directory / "ids.jsonl")
    held = IdsFile(path)
    with empty() as sandbox:
        told = load(sandbox, ids_path=path, check=False).stderr
    held.close(is_complete=False)
    return told


@prints("... this is no ids file (`ids_path`) of a load")
def _(directory):
    (directory / "ids.jsonl").write_text("no")
    with pytest.raises(StorageError) as raised:
        list(ids.lines_of(directory / "ids.jsonl"))
    return str(raised.value)


@prints("the key_properties of the input (...) are not used")
def _(directory):
    with empty() as sandbox:
        lines = messages("Contacts", {"lastname": "Roux", "email": "a@b.example"}, key=["email"])
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("Line ... of the input is not a Singer message")
def _(directory):
    with empty() as sandbox:
        return load(sandbox, "lastname,firstname", check=False).stderr


@prints("Line ... of the input is not a Singer message: it is longer than ... bytes")
def _(directory):
    with empty() as sandbox, mock.patch("target_kafinea.reader.LONGEST_LINE", 1000):
        lines = messages("Contacts", {"lastname": "Roux" * 1000})
        return load(sandbox, lines, check=False).stderr


def with_schema(said: dict[str, object]) -> str:
    """Load a contact whose name has this schema."""
    with empty() as sandbox:
        lines = messages("Contacts", {"lastname": "Roux"}, properties={"lastname": said})
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("Stream '...': its SCHEMA cannot be used: ...")
def _(_directory):
    return with_schema({"$ref": "https://schemas.example/name.json"})


@prints("Stream '...': not checked, because regular expressions may never end: ...")
def _(_directory):
    return with_schema({"pattern": "(a+)+$"})


@prints("`rejects_path` '...' cannot be written")
def _(directory):
    path = str(directory / "nowhere" / "rejects.jsonl")
    return rejected("Contacts", {"lastname": "Roux"}, rejects_path=path)


@prints("... cannot be ...: ... is a link. Remove it")
def _(directory):
    (directory / "rejects.jsonl.part").symlink_to(directory / "elsewhere")
    return rejected("Contacts", {"lastname": "Roux"}, rejects_path=str(directory / "rejects.jsonl"))


@prints(
    "`...`: other users of this machine can write to the folder ..., and so read or replace what "
    "is stored there"
)
def _(directory):
    directory.chmod(0o777)
    return reported(directory)


@prints("`...`: other users of this machine can read ...")
def _(directory):
    (directory / "report.jsonl").touch()
    (directory / "report.jsonl").chmod(0o644)
    return reported(directory)


def reported(directory: Path) -> str:
    """Load a record with a load report, and return what the target says."""
    return rejected(
        "Contacts",
        {"lastname": "Roux"},
        streams=LASTNAME,
        outcomes_path=str(directory / "report.jsonl"),
    )


@prints("`...` can no longer be written: ...")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux"}, outcomes_path="/dev/full")


@prints("`...` (...) is the standard output, to which the state is written")
def _(directory):
    with empty() as sandbox:
        files = Files(directory)
        config = files.config(sandbox, streams=LASTNAME, outcomes_path="/dev/stdout")
        lines = messages("Contacts", {"lastname": "Roux"}, state={"done": 1})
        return command("--config", config, "--input", files.input(lines)).stderr


@prints("`outcomes_path` (...) and `rejects_path` (...) are the same file")
def _(directory):
    path = str(directory / "report.jsonl")
    return rejected("Contacts", {"lastname": "Roux"}, outcomes_path=path, rejects_path=path)


def planned(directory: Path, change: Callable[[Path, Sandbox], object], **more: Any) -> str:
    """Plan a load, change something, and return what the target says when it applies the plan."""
    plan = directory / "plan.jsonl"
    records = messages("Contacts", {"lastname": "Roux", "phone": "2"}, {"lastname": "Petit"})
    with empty() as sandbox:
        sandbox.insert("Contacts", {"lastname": "Roux", "phone": "1"})
        options = {"streams": LASTNAME, "check": False, "plan_path": str(plan)}
        load(sandbox, records, **options, dry_run=True)
        records = change(plan, sandbox) or records
        return load(sandbox, records, **{**options, **more}).stderr


@prints("`plan_path` (...) '...' is not complete: the dry run did not reach the end of its input")
def _(directory):
    return planned(directory, lambda plan, _: os.truncate(plan, plan.stat().st_size - 10))


@prints("`plan_path` (...) '...' is not as the dry run wrote it, so it is not what was approved")
def _(directory):
    def edit(plan, _):
        plan.write_text(plan.read_text("utf-8").replace('"phone":"2"', '"phone":"3"'), "utf-8")

    return planned(directory, edit)


@prints("`plan_path` (...): the plan ... Do the dry run again.")
def _(directory):
    return planned(directory, lambda *_: None, hard_delete=True)


@prints("The plan was not applied as a whole, because the input has changed since")
def _(directory):
    return planned(directory, lambda *_: messages("Contacts", {"lastname": "Petit"}))


@prints("... since the plan was made, the record has changed in Kafinea: ... (CHANGED_SINCE_PLAN)")
def _(directory):
    return planned(directory, lambda _, sandbox: sandbox.change("Contacts", 1, {"phone": "3"}))


@prints("... the plan does not contain the record as the input has it (NOT_IN_PLAN)")
def _(directory):
    return planned(directory, lambda *_: messages("Contacts", {"lastname": "New"}))


# A record was rejected


def rejected(stream: str, *records: dict[str, Any], **more: Any) -> str:
    """Load records into an empty Kafinea, and return what the target says."""
    with empty() as sandbox:
        return load(sandbox, messages(stream, *records), check=False, **more).stderr


@prints("... no record has this value in ... (UNRESOLVED_REFERENCE)")
def _(directory):
    references = {"account_id": {"module": "Accounts", "match_on": "accountname"}}
    streams = matched("Contacts", "lastname", references=references)
    return rejected("Contacts", {"lastname": "Roux", "account_id": "Nobody"}, streams=streams)


@prints("... no record of Accounts has this id (UNRESOLVED_REFERENCE)")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux", "account_id": "3x99999"}, streams=LASTNAME)


@prints("several records have this key: ... (AMBIGUOUS_KEY)")
def _(directory):
    with empty() as sandbox:
        for _ in range(2):
            sandbox.insert("Contacts", {"lastname": "Roux"})
        record = {"lastname": "Roux"}
        return load(sandbox, messages("Contacts", record), streams=LASTNAME, check=False).stderr


def conflict(extracted_at):
    with empty() as sandbox:
        sandbox.insert("Contacts", {"lastname": "Roux"}, "2026-01-31 08:00:00")
        record = {"lastname": "Roux", "phone": "1", "modifiedtime": extracted_at}
        streams = {"Contacts": {**LASTNAME["Contacts"], "conflict_on": "modifiedtime"}}
        return load(sandbox, messages("Contacts", record), streams=streams, check=False).stderr


@prints(
    "... the record was changed in Kafinea after the row was extracted (...). "
    "Not overwritten: ... (CONFLICT)"
)
def _(directory):
    return conflict("2026-01-30T08:00:00Z")


@prints(
    "the record exists, and ... does not contain when it was extracted. "
    "Not overwritten: ... (CONFLICT)"
)
def _(directory):
    return conflict(None)


@prints(
    "no record has exactly this key. The database returns ... for it, but ... differs in ... "
    "(AMBIGUOUS_KEY)"
)
def _(directory):
    with empty() as sandbox:
        sandbox.insert("Contacts", {"lastname": "Muller"})
        record = {"lastname": "Müller"}
        return load(sandbox, messages("Contacts", record), streams=LASTNAME, check=False).stderr


@prints("... the key has no visible characters, only ... (INVALID_KEY)")
def _(directory):
    return rejected("Contacts", {"lastname": "\u200b"}, streams=LASTNAME)


@prints("... the server refuses a query for a value that contains ... (INVALID_KEY)")
def _(directory):
    refusal = '{"success":false,"error":{"message":"no","code":"QUERY_SYNTAX_ERROR"}}'
    with empty() as sandbox:
        fault = {"operation": "query", "contains": "Roux", "status": 200, "body": refusal}
        sandbox.faults.add("status", times=None, **fault)
        record = {"lastname": "Roux\\"}
        return load(sandbox, messages("Contacts", record), streams=LASTNAME, check=False).stderr


@prints("... records without a value have this one (INVALID_KEY)")
def _(directory):
    references = {"account_id": {"module": "Accounts", "match_on": "employees"}}
    streams = matched("Contacts", "lastname", references=references)
    return rejected("Contacts", {"lastname": "Roux", "account_id": "0"}, streams=streams)


@prints("the record has no `id`. Set `match_on` to the fields that identify a record (NO_KEY)")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux"})


@prints("no record has this id (NOT_FOUND)")
def _(directory):
    return rejected("Contacts", {"id": "8x99999", "lastname": "Roux"})


@prints("no value in ... (MANDATORY_FIELD_MISSING)")
def _(directory):
    return rejected("Contacts", {"email": "a@b.example"}, streams=matched("Contacts", "email"))


@prints("... the value is not in the picklist (UNKNOWN_PICKLIST_VALUE)")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux", "leadsource": "Fair"}, streams=LASTNAME)


@prints("... the value is not of type ... (INVALID_VALUE)")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux", "birthday": "31/01/1990"}, streams=LASTNAME)


@prints("... violates ... of the stream's schema (INVALID_RECORD)")
def _(directory):
    with empty() as sandbox:
        lines = messages("Contacts", {"lastname": 1}, properties={"lastname": {"type": "string"}})
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("... no user or group has this id (UNKNOWN_OWNER)")
def _(directory):
    record = {"lastname": "Roux", "assigned_user_id": "37x99"}
    return rejected("Contacts", record, streams=LASTNAME)


@prints("... The record has no key to look it up by. (UNKNOWN_OUTCOME)")
def _(directory):
    with empty() as sandbox:
        sandbox.faults.add("reset_after", operation="create")
        lines = messages("Contacts", {"lastname": "Roux"})
        return load(sandbox, lines, load_method="append-only", check=False).stderr


def updated(module: str, stored: dict[str, Any], record: dict[str, Any], **options: Any) -> str:
    """Load a record into a server that holds one, and return what the target says."""
    user, more = options.pop("user", {}), options.pop("more", {})
    with empty(**options) as sandbox:
        sandbox.change("Users", 1, user)
        sandbox.insert(module, stored)
        streams = matched(module, next(iter(record)), **more)
        return load(sandbox, messages(module, record), streams=streams, check=False).stderr


def document(sandbox: Sandbox, module: str, **more: Any) -> dict[str, Any]:
    """Return a document with one line, which a server takes."""
    account = sandbox.insert("Accounts", {"accountname": "ACME"})
    product = sandbox.insert("Products", {"productname": "Desk", "unit_price": "10"})
    lines = [{"productid": product, "quantity": 1, "listprice": 10}]
    record = {"subject": "D", "account_id": account, "bill_street": "a", "ship_street": "b"}
    record |= {"hdnTaxType": "group", "LineItems": lines}
    return record | ({"quotestage": "Created"} if module == "Quotes" else {}) | more


def loaded(sandbox: Sandbox, module: str, *records: dict[str, Any]) -> str:
    streams = matched(module, "subject")
    return load(sandbox, messages(module, *records), streams=streams, check=False).stderr


TWO_DECIMALS = {"no_of_currency_decimals": "2"}
PRECISE = {"lastname": "Roux", "cf_855": "0.123"}


def rounded_once() -> str:
    """Update a record on a server that rounds another field of it."""
    stored, record = PRECISE, {"lastname": "Roux", "phone": "1"}
    return updated("Contacts", stored, record, user=TWO_DECIMALS, dialect="legacy")


@prints("... fields that were not loaded: ... (OTHER_FIELDS_CHANGED)")
def _(directory):
    return rounded_once()


@prints("not sent: the update of ... also changed other fields: ... (OTHER_FIELDS_CHANGED)")
def _(directory):
    with empty(dialect="legacy") as sandbox:
        sandbox.change("Users", 1, TWO_DECIMALS)
        for name in "ab":
            sandbox.insert("Contacts", PRECISE | {"lastname": name})
        records = [{"lastname": name, "phone": "1"} for name in "ab"]
        lines = messages("Contacts", *records)
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("the server stored other values than those sent in ... (NOT_AS_SENT)")
def _(directory):
    return updated("Contacts", {"lastname": "Roux"}, {"lastname": "Roux", "phone": "1" * 300})


def many_decimals(*names: str) -> str:
    with empty() as sandbox:
        sandbox.change("Users", 1, TWO_DECIMALS)
        for name in names:
            sandbox.insert("Contacts", {"lastname": name})
        records = [PRECISE | {"lastname": name} for name in "ab"]
        lines = messages("Contacts", *records)
        return load(sandbox, lines, streams=LASTNAME, max_rejects=9, check=False).stderr


@prints("not sent: the server altered ... of the first new record, ... (NOT_AS_SENT)")
def _(directory):
    with empty() as sandbox:
        records = [{"lastname": name, "title": "x" * 300} for name in "ab"]
        return load(sandbox, messages("Contacts", *records), streams=LASTNAME, check=False).stderr


@prints("not sent: ... the server keeps only ... decimals. ... (NOT_AS_SENT)")
def _(directory):
    return many_decimals("a", "b")


@prints("... side effect that the API does not show: ... (SIDE_EFFECTS)")
def _(directory):
    return updated("Events", {"subject": "Fair"}, {"subject": "Fair", "location": "Nantes"})


@prints("... subtotal and total do not match the lines, ... (TOTALS_WRONG)")
def _(directory):
    with empty(dialect="frevo") as sandbox:
        record = document(sandbox, "Quotes")
        loaded(sandbox, "Quotes", record, record | {"subject": "E"})
        (line,) = record["LineItems"]
        return loaded(sandbox, "Quotes", record | {"LineItems": [line | {"quantity": 2}]})


@prints("... the owner no longer exists, ... (OWNER_GONE)")
def _(directory):
    return updated(
        "Contacts",
        {"lastname": "Roux", "assigned_user_id": 999},
        {"lastname": "Roux", "phone": "1"},
    )


@prints(
    "the record was created, but the server altered its key (...); it was deleted again "
    "(KEY_ALTERED)"
)
def _(directory):
    return rejected("Contacts", {"lastname": "x" * 300}, streams=LASTNAME)


@prints("another load created the same record at the same time: ... (CREATED_TWICE)")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Invoice")
        twin = {"subject": "D"}
        with another_writer(sandbox, lambda: sandbox.insert("Invoice", twin)):
            return loaded(sandbox, "Invoice", record)


@prints("... this server does not support lines (it has no module LineItem). ... (NOT_SUPPORTED)")
def _(directory):
    with empty(dialect="corebos") as sandbox:
        return loaded(sandbox, "Quotes", document(sandbox, "Quotes"))


@prints("the record exists, but this user may not read it (NOT_READABLE)")
def _(directory):
    with empty(hidden={"Contacts": [1]}) as sandbox:
        sandbox.insert("Contacts", {"lastname": "Roux"})
        lines = messages("Contacts", {"lastname": "Roux"})
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


def given_away(*, is_known: bool) -> str:
    """Give a contact, new or known, to another owner; the user sees only their own."""
    with empty(private=["Contacts"]) as sandbox:
        joe = {"username": "joe", "access_key": sandbox.access_key_of("joe")}
        owners = [row["id"] for row in sandbox.rows("Users")][:2]  # the administrator, and joe
        record = {"lastname": "Roux", "assigned_user_id": owners[1]}
        if is_known:
            load(sandbox, messages("Contacts", record), streams=LASTNAME, **joe)
        lines = messages("Contacts", record | {"assigned_user_id": owners[0]})
        return load(sandbox, lines, streams=LASTNAME, check=False, **joe).stderr


@prints("the record was created, but this user may not read it; it is kept: ... (NOT_READABLE)")
def _(directory):
    return given_away(is_known=False)


@prints("the update was sent, and this user may not read the record any more: ... (NOT_READABLE)")
def _(directory):
    return given_away(is_known=True)


def failing(contains: str, times: int | None) -> str:
    with empty() as sandbox:
        sandbox.faults.add("status", operation="create", contains=contains, status=500, times=times)
        lines = messages("Contacts", *[{"lastname": name} for name in "abcdefgh"])
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("the server failed ... times to create the record; none was found (UNKNOWN_OUTCOME)")
def _(directory):
    return failing('"lastname": "a"', None)


@prints("... It is unknown whether the request was carried out.")
def _(directory):
    return failing('"lastname": "a"', 1)


@prints("writes to Kafinea failed repeatedly, so the run stopped")
def _(directory):
    return failing("lastname", None)


@prints("The decimal separator of the API user is ...")
def _(directory):
    user = {"currency_decimal_separator": ","}
    return updated("Contacts", {"lastname": "a"}, {"lastname": "a", "phone": "1"}, user=user)


@prints("The currency of the API user is not the base currency")
def _(directory):
    user = {"currency_id": 2, "conv_rate": "1.25"}
    return updated("Contacts", {"lastname": "a"}, {"lastname": "a", "phone": "1"}, user=user)


@prints("... totals are not checked")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Quotes")
        loaded(sandbox, "Quotes", *[record | {"subject": f"{n}"} for n in range(6)])
        sandbox.sql("UPDATE Quotes SET hdnSubTotal = '77.00000000'")
        return loaded(sandbox, "Quotes", record | {"subject": "0"})


@prints("the server reported success, but ... is not in '...' of ... (NOT_RELATED)")
def _(directory):
    with empty() as sandbox:
        account = sandbox.insert("Accounts", {"accountname": "Roux & Co"})
        contact = sandbox.insert("Contacts", {"lastname": "Roux"})
        lines = messages("listed", {"source_id": account, "related_id": contact})
        streams = {"listed": {"module": "Accounts", "related": "Contacts"}}
        return load(sandbox, lines, streams=streams, check=False).stderr


@prints("this user may not ... (NOT_WRITABLE)")
def _(directory):
    closed = {"Contacts": ["update"]}
    stored, record = {"lastname": "Roux"}, {"lastname": "Roux", "phone": "1"}
    return updated("Contacts", stored, record, closed=closed)


@prints("... (UNAVAILABLE)")
def _(directory):
    with empty() as sandbox:
        bad = sandbox.insert("Contacts", {"lastname": "Roux"})
        sandbox.faults.add("status", operation="retrieve", contains=bad, status=500, times=None)
        lines = messages("Contacts", {"lastname": "Roux", "phone": "1"})
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


def refused(code: str) -> str:
    answer = {"success": False, "error": {"code": code, "message": "No"}}
    with empty() as sandbox:
        body = json.dumps(answer)
        sandbox.faults.add("status", operation="create", contains="Roux", status=200, body=body)
        lines = messages("Contacts", {"lastname": "Roux"})
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("... (ACCESS_DENIED)")
def _(directory):
    return refused("ACCESS_DENIED")


@prints("another record has the same value in a field that must be unique (0)")
def _(directory):
    record = {"accountname": "ACME", "phone": "1"}
    with empty() as sandbox:
        sandbox.insert("Accounts", {"accountname": "ACME"})
        lines = messages("Accounts", record)
        more = {"streams": matched("Accounts", "phone"), "check": False}
        return load(sandbox, lines, **more).stderr


@prints("... These mandatory fields are empty in Kafinea: ... (MANDATORY_FIELDS_MISSING)")
def _(directory):
    record, stored = {"subject": "D", "description": "new"}, {"subject": "D", "quotestage": ""}
    return updated("Quotes", stored, record, more={}, dialect="legacy")


@prints("no record has this key, and `create_missing` is off (NOT_FOUND)")
def _(directory):
    return rejected("Contacts", {"lastname": "Roux"}, streams=LASTNAME, create_missing=False)


@prints("... the text contains half a character (unpaired surrogate ...) (INVALID_VALUE)")
def _(directory):
    return rejected("Contacts", {"lastname": "\ud83d"}, streams=LASTNAME)


@prints("... a number is out of range (INVALID_VALUE)")
def _(directory):
    schema, record, other = messages("Contacts", {"lastname": 7}, {"lastname": "Petit"})
    with empty() as sandbox:
        lines = [schema, record.replace("7", "9" * 5000), other]
        return load(sandbox, lines, check=False, streams=LASTNAME).stderr


@prints("the stream map failed for the record: ... (NOT_MAPPED)")
def _(directory):
    maps = {"Contacts": {"lastname": "lastname.upper()"}}
    return rejected("Contacts", {"lastname": None}, streams=LASTNAME, stream_maps=maps)


@prints("validation against the stream's schema takes more than ... seconds (INVALID_RECORD)")
def _(directory):
    record, schema = {"lastname": [1] * 3_000}, {"items": {"allOf": [{"minimum": 0}] * 3_000}}
    lines = messages("Contacts", record, properties={"lastname": schema})
    with mock.patch("target_kafinea.validating._LONGEST", 1), empty() as sandbox:
        return load(sandbox, lines, check=False).stderr


@prints("Stream '...': the server changed fields that were not loaded (OTHER_FIELDS_CHANGED)")
def _(directory):
    return rounded_once()


@prints("... the stored number is this one in the API user's formats. ... (NOT_AS_SENT)")
def _(directory):
    record = PRECISE | {"cf_855": "0.125"}
    stored = record | {"cf_855": "0.130"}
    return updated("Contacts", stored, record, user=TWO_DECIMALS)


class LosesLines:
    """Each write of lines meets that of somebody else, and loses one."""

    @contextmanager
    def write(self) -> Iterator[bool]:
        yield True


@prints("LineItems: lines are missing or differ from those sent, ... (NOT_AS_SENT)")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Quotes")
        loaded(sandbox, "Quotes", record)
        sandbox.instance.line_writes = LosesLines()
        (line,) = record["LineItems"]
        return loaded(sandbox, "Quotes", record | {"LineItems": [line, line]})


@prints("LineItems: ...: the server keeps fewer decimals of its numbers, ... (NOT_AS_SENT)")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Quotes")
        (line,) = record["LineItems"]
        line |= {"quantity": 1.23456, "listprice": 1000}
        return loaded(sandbox, "Quotes", record)


@prints("LineItems: it is not certain which stored line of its product ... (AMBIGUOUS_LINES)")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Quotes")
        (line,) = record["LineItems"]
        loaded(sandbox, "Quotes", record | {"LineItems": [line | {"comment": "first"}, line]})
        return loaded(sandbox, "Quotes", record | {"LineItems": [line | {"quantity": 7}]})


@prints("LineItems: the server counts lines of this record but returns none. ... (NOT_READABLE)")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Quotes")
        loaded(sandbox, "Quotes", record)
        sandbox.faults.add("empty", operation="query", contains="discount_percent", times=None)
        return loaded(sandbox, "Quotes", record)


@prints("LineItems: the record was created, but lines are missing... (NOT_AS_SENT)")
def _(directory):
    with empty() as sandbox:
        record = document(sandbox, "Invoice")
        sandbox.instance.line_writes = LosesLines()
        return loaded(sandbox, "Invoice", record | {"LineItems": record["LineItems"] * 2})


@prints("not created: ... is the same record, but the server altered its key (...) (KEY_ALTERED)")
def _(directory):
    with empty(alters={"Invoice.subject": "cut:20"}) as sandbox:
        record = document(sandbox, "Invoice", subject="A subject of more than twenty")
        loaded(sandbox, "Invoice", record)
        return loaded(sandbox, "Invoice", record)


@prints("not sent: the server altered the keys of several records in a row. ... (KEY_ALTERED)")
def _(directory):
    records = [{"lastname": f"{n}" * 300} for n in range(5)]
    return rejected("Contacts", *records, streams=LASTNAME, max_rejects=-1)


@prints(
    "... these fields are left out of look-ups, because the server refuses them in a query: ..."
)
def _(directory):
    server = SmallServer()

    def before(_, said):
        if re.search(r"\bsize\b", said.get("query", "")):
            raise Refusal("ACCESS_DENIED")

    server.before = before
    lines = messages("Contacts", {"lastname": "a", "size": 2})
    with serving_small(server):
        login = {"url": server.url, "username": "admin", "access_key": "key"}
        return load(None, lines, **login, streams=LASTNAME).stderr


def altering(answer, stored, count=1):
    """The log of a load whose keys are stored as `stored`, and whose creations are answered so."""
    server = SmallServer()
    server.store = lambda _, old, sent: {**old, **sent, "lastname": stored}
    server.answer = lambda _, row, _sent: answer(server, row)
    lines = messages("Contacts", *[{"lastname": f"{'a' * 30}{n}"} for n in range(count)])
    with serving_small(server):
        login = {"url": server.url, "username": "admin", "access_key": "key"}
        return load(None, lines, **login, streams=LASTNAME, max_rejects=-1).stderr


def named_elsewhere(_, row):
    return {"id": f"18x{row['id'][3:]}"}


@prints("the response was lost, and the record was not sent again: ... (UNKNOWN_OUTCOME)")
def _(directory):
    def twice_and_lost(server, row):
        server.insert(lastname=row["lastname"])
        raise Raw(500)

    return altering(twice_and_lost, "a" * 20)


@prints("create: the response contains ... no id of .... ... (UNKNOWN_OUTCOME)")
def _(directory):
    return altering(named_elsewhere, "b")


@prints("not sent: several records in a row may exist without their key. ... (UNKNOWN_OUTCOME)")
def _(directory):
    return altering(named_elsewhere, "b", count=4)


@prints("the server failed ... times to update the record (UNKNOWN_OUTCOME)")
def _(directory):
    with empty() as sandbox:
        bad = sandbox.insert("Contacts", {"lastname": "Roux"})
        sandbox.faults.add("status", operation="revise", contains=bad, status=500, times=None)
        lines = messages("Contacts", {"lastname": "Roux", "phone": "1"})
        return load(sandbox, lines, streams=LASTNAME, check=False).stderr


@prints("this server has no operation FileUpload, so it accepts no files (NOT_SUPPORTED)")
def _(directory):
    with empty(dialect="stock") as sandbox:
        return contract(directory, sandbox)


@prints("this server does not support lines, so it cannot recalculate the totals (NOT_SUPPORTED)")
def _(directory):
    with empty(dialect="corebos") as sandbox:
        record = document(sandbox, "Quotes")
        del record["LineItems"]
        loaded(sandbox, "Quotes", record)
        return loaded(sandbox, "Quotes", record | {"txtAdjustment": 5})


def mistaken(place: str) -> str:
    """Load a record at which something comes up that nobody foresaw."""
    with empty() as sandbox, mock.patch(f"kafinea.load.{place}", side_effect=LookupError):
        return load(sandbox, messages("Contacts", {"lastname": "Roux"}), streams=LASTNAME).stderr


@prints(
    "internal error before the record was sent: ... Please report this as a bug (INTERNAL_ERROR)"
)
def _(_directory):
    return mistaken("writing.checks.wire_values")


@prints(
    "internal error after the record was sent, so it may be written: ... Please report this as a "
    "bug (UNKNOWN_OUTCOME)"
)
def _(_directory):
    return mistaken("writing.record_writer.altered_fields")


def contract(directory: Path, sandbox: Sandbox) -> str:
    """Load a document with a file of one kilobyte."""
    path = directory / "contract.pdf"
    path.write_bytes(b"x" * 1024)
    lines = messages("Documents", {"notes_title": "A contract", "_file_path": str(path)})
    streams = matched("Documents", "notes_title")
    more = {"files_path": str(directory), "check": False}
    return load(sandbox, lines, streams=streams, **more).stderr


def file_refused(path: str, files_path: Path | None) -> str:
    """Load a document with a file that cannot be read."""
    record = {"notes_title": "A contract", "_file_path": path}
    more = {"files_path": str(files_path)} if files_path else {}
    return rejected("Documents", record, streams=matched("Documents", "notes_title"), **more)


@prints("_file_path: no file may be read: set `files_path` (FILE_NOT_ALLOWED)")
def _(_directory):
    return file_refused("contract.pdf", None)


@prints("_file_path: the file is outside `files_path` (FILE_NOT_ALLOWED)")
def _(directory):
    return file_refused("../contract.pdf", directory)


@prints("_file_path: it is not a regular file (FILE_NOT_READABLE)")
def _(directory):
    return file_refused(".", directory)


@prints("_file_path: the file cannot be read (...) (FILE_NOT_READABLE)")
def _(directory):
    (directory / "contract.pdf").touch()
    return file_refused("x", directory / "contract.pdf")


@prints("... the temporary folder cannot hold the file: ... (FILE_NOT_READABLE)")
def _(directory):
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch("tempfile.SpooledTemporaryFile.write", side_effect=full), empty() as sandbox:
        return contract(directory, sandbox)


@prints("... the file has more than ... bytes, the maximum that Kafinea accepts (FILE_TOO_LARGE)")
def _(directory):
    with mock.patch("kafinea_sandbox.operations.describe._MAX_UPLOAD", 1000), empty() as sandbox:
        return contract(directory, sandbox)


@prints("... The file is not in ... (FILE_NOT_STORED)")
def _(directory):
    with empty() as sandbox:
        fault = {"operation": "fileupload", "contains": "contract.pdf", "status": 500}
        sandbox.faults.add("status", times=None, **fault)
        return contract(directory, sandbox)


@prints("_file_path: file not found (FILE_NOT_FOUND)")
def _(directory):
    return file_refused("contract.pdf", directory)


LASTNAME = matched("Contacts", "lastname")


# Meltano and the warehouse


@prints("Cannot start plugin tap-kafinea: Catalog discovery failed")
def _(directory):
    return meltano(directory, "tap-kafinea", "target-duckdb")


@prints("Extractor failed")
def _(directory):
    return meltano(directory, "tap-duckdb", "target-kafinea")


@prints("Failed to parse JSON array from string")
def _(directory):
    return meltano(directory, "tap-kafinea", "target-duckdb", TAP_KAFINEA_MODULES="Accounts")


@prints("'warehouse.duckdb' (`path`) not found. Extract into it first.")
def _(directory):
    return tap_duckdb(directory)


@prints("Could not set lock on file")
def _(directory):
    with duckdb.connect(directory / "warehouse.duckdb"):
        return tap_duckdb(directory)


@prints("... is open in another process (PID ...). DuckDB lets one process write at a time: ...")
def _(directory):
    with duckdb.connect(directory / "warehouse.duckdb"):
        return loader(directory, "duckdb", path="warehouse.duckdb")


@prints("... was created by another loader, with a type that cannot be converted exactly. ...")
def _(directory):
    with duckdb.connect(directory / "warehouse.duckdb") as warehouse:
        warehouse.execute("CREATE SCHEMA kafinea; CREATE TABLE kafinea.Faq (id TIMESTAMP)")
    return loader(directory, "duckdb", path="warehouse.duckdb")


@prints("No connection to PostgreSQL: ...")
def _(directory):
    server = {"host": "127.0.0.1", "port": 9, "user": "ada", "database": "warehouse"}
    return loader(directory, "postgres", **server)


def loader(directory: Path, name: str, **told: Any) -> str:
    """Run a loader of meltano.yml by itself."""
    config = directory / "config.json"
    config.write_text(json.dumps({"default_target_schema": "kafinea", **told}))
    schema = {"properties": {"id": {"type": "string"}}}
    message = {"type": "SCHEMA", "stream": "Faq", "schema": schema, "key_properties": ["id"]}
    folder = pages.ROOT / f".meltano/loaders/target-{name}/venv/bin"
    done = subprocess.run(
        [folder / f"target-{name}-exact", "--config", config], cwd=directory,
        input=json.dumps(message), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


def meltano(directory: Path, extractor: str, loader: str, **told: str) -> str:
    """Run a pipeline with addresses at which there is no Kafinea."""
    project = pages.Project(directory)
    (directory / "load").mkdir()
    (directory / "load/one.sql").write_text("SELECT 1 AS one")
    for side, url in (("TAP", "nowhere"), ("TARGET", "http://127.0.0.1:9")):
        where = {"URL": url, "USERNAME": "ada", "ACCESS_KEY": "secret"}
        told |= {f"{side}_KAFINEA_{name}": value for name, value in where.items()}
    lines = [f"{name}={value}\n" for name, value in told.items()]
    (directory / ".env").write_text("".join(lines), "utf-8")
    return project.type(f".venv-meltano/bin/meltano run {extractor} {loader}", fails=True)


def tap_duckdb(directory: Path) -> str:
    """Run the tap of the warehouse by itself."""
    (directory / "one.sql").write_text("SELECT 1 AS one")
    config = directory / "config.json"
    config.write_text(json.dumps({"path": "warehouse.duckdb", "queries": "."}))
    command = pages.ROOT / ".meltano/extractors/tap-duckdb/venv/bin/tap-duckdb"
    done = subprocess.run(
        [command, "--config", config], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr
