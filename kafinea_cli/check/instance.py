"""What is checked of an instance, in this order. Nothing is written."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from socket import create_connection
from threading import BrokenBarrierError
from urllib.parse import urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from kafinea.client import Client
from kafinea.connection import is_loopback
from kafinea.describe import Module
from kafinea.errors import CredentialsRefused, KafineaError
from kafinea.extract.discovery import has_ids
from kafinea.load.server.formats import WHERE, Formats, read_formats
from kafinea.unanswered import certificates
from kafinea.values import ServerZone
from kafinea_cli.check import speed, time_zone
from kafinea_cli.check.findings import Finding, Status
from kafinea_cli.connection import Instance
from kafinea_cli.describing import described

_CLOCKS_DIFFER = timedelta(minutes=5)
_CERTIFICATE_ENDS = 21  # days
_TLS_SECONDS = 5


def findings(instance: Instance) -> Iterator[Finding]:
    """Yield what is found out, as it is. The first problem with the connection is the last line."""
    client = instance.client
    try:
        user_id, profile = client.user_id(), client.profile()
    except CredentialsRefused as error:
        yield Finding("address", f"{client.url} answers")
        yield Finding("login", str(error), Status.PROBLEM)
        return
    except KafineaError as error:
        yield Finding("address", str(error), Status.PROBLEM)
        return
    yield Finding("address", client.url)
    yield encryption(client.url)
    yield Finding("login", f"{client.username} is user {user_id}", facts={"user": user_id})
    yield version(profile)
    try:
        formats = read_formats(client)
        yield from _formats(formats, profile)
        modules = dict(described(client, client.listtypes()))
        yield from _modules(client, modules)
        yield from _times(instance, profile, modules)
        yield from _speed(client, modules)
    except (KafineaError, BrokenBarrierError) as error:
        yield Finding("requests", str(error), Status.PROBLEM, "Run the check again.")


def encryption(address: str) -> Finding:
    """Return whether the connection is encrypted, and until when its certificate is valid.

    The address was reached, so a certificate was accepted.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "http":
        if is_loopback(host):
            return Finding("encryption", "none, and none is needed: the server is this machine")
        return Finding(
            "encryption", "none: records are sent in the clear", Status.WARNING, "Use https."
        )
    if requests.utils.get_environ_proxies(address):
        return Finding("encryption", "TLS, through a proxy; the certificate is accepted")
    try:
        days, protocol = _certificate(host, parts.port or 443, certificates(address))
    except OSError:  # the login has shown that there is a way
        return Finding("encryption", "TLS; the certificate is accepted")
    text = f"{protocol}; the certificate expires in {days} days"
    facts = {"certificate_days": days, "protocol": protocol}
    if days < _CERTIFICATE_ENDS:
        advice = "Ask who runs the server to renew it."
        return Finding("encryption", text, Status.WARNING, advice, facts)
    return Finding("encryption", text, facts=facts)


def _certificate(host: str, port: int, trusted: str | bool) -> tuple[int, str]:
    """Return the days for which a certificate is still valid, and the protocol."""
    context = ssl.create_default_context()
    context.load_verify_locations(trusted if isinstance(trusted, str) else DEFAULT_CA_BUNDLE_PATH)
    with (
        create_connection((host, port), _TLS_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        until = ssl.cert_time_to_seconds(str((encrypted.getpeercert() or {})["notAfter"]))
        left = datetime.fromtimestamp(until, timezone.utc) - datetime.now(timezone.utc)
        return left.days, encrypted.version() or "TLS"


def version(profile: Mapping[str, str]) -> Finding:
    """Return which kind of server it is, by what the login reports."""
    kafinea, family = profile.get("kafineaVersion"), profile.get("vtigerVersion")
    facts = {"version": kafinea or family, "api": profile.get("version")}
    api = f", API {facts['api']}" if facts["api"] else ""
    if kafinea:
        return Finding("version", f"Kafinea {kafinea}{api}", facts=facts)
    if family:
        # coreBOS has reported this version since it left the family.
        name = "coreBOS" if family.startswith("5.5") else "vtiger, or another of its family,"
        return Finding("version", f"{name} {family}{api}", facts=facts)
    return Finding("version", "not reported", facts=facts)


def _formats(formats: Formats, profile: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the user's formats, and what they mean for loading. Extraction does not use them."""
    known = {
        "decimals": formats.decimals,
        "decimal_separator": formats.decimal_separator or None,
        "grouping_separator": formats.grouping_separator or None,
        "is_base_currency": formats.is_base_currency,
        "date_format": profile.get("date_format"),
    }
    if all(value is None for value in known.values()):
        yield Finding(
            "formats",
            "the server does not report the user's formats to this user",
            Status.WARNING,
            f"Before you load: set many decimals, the decimal separator '.', and the base currency "
            f"{WHERE}.",
            known,
        )
        return
    parts = [
        f"{formats.decimals} decimals" if formats.decimals is not None else "",
        f"1234{formats.decimal_separator}56" if formats.decimal_separator else "",
        f"dates {known['date_format']}" if known["date_format"] else "",
    ]
    shown = ", ".join(filter(None, parts)) or "the base currency"
    meaning = ""
    if formats.decimals is not None:
        meaning = f": when it loads, a server may round numbers to {formats.decimals} decimals"
    warnings = formats.warnings()
    status = Status.WARNING if warnings else Status.OK
    yield Finding("formats", f"{shown}{meaning}", status, " ".join(warnings), known)


def _modules(client: Client, modules: Mapping[str, Module | None]) -> Iterator[Finding]:
    readable = [module.name for module in _readable(modules)]
    others = sorted(modules.keys() - set(readable))
    facts = {"readable": readable, "not_readable": others}
    if not readable:
        yield Finding(
            "modules", "none can be read", Status.PROBLEM,
            f"Give user {client.username!r} the right to read modules.", facts,
        )  # fmt: skip
        return
    text = f"{len(readable)} of {len(modules)} can be extracted"
    yield Finding("modules", f"{text}; not {', '.join(others)}" if others else text, facts=facts)
    writable = [m.name for m in modules.values() if m and m.is_entity and m.createable]
    text = f"in {len(writable)} modules, records can be created"
    if not writable:
        text = "the user can create no records; that is enough to extract"
    yield Finding("loading", text, facts={"createable": writable})


def _readable(modules: Mapping[str, Module | None]) -> list[Module]:
    return [m for m in modules.values() if m and m.retrieveable and has_ids(m)]


def _times(
    instance: Instance, profile: Mapping[str, str], modules: Mapping[str, Module | None]
) -> Iterator[Finding]:
    client = instance.client
    server = client.server_time()
    if server is None:
        yield Finding("clock", "the server does not report its time")
    else:
        apart = abs(server - datetime.now(timezone.utc))
        facts = {"seconds_apart": round(apart.total_seconds())}
        if apart > _CLOCKS_DIFFER:
            yield Finding(
                "clock", f"the server's clock and this machine's are {_h_mm(apart)} (h:mm) apart",
                Status.WARNING, "Correct the clock that is wrong.", facts,
            )  # fmt: skip
        else:
            yield Finding("clock", "the server's clock agrees with this machine's", facts=facts)
    found = time_zone.newest_of(client, time_zone.often_saved(_readable(modules)))
    yield zone_finding(instance.config.get("timezone"), instance.zone, found, profile)


def zone_finding(
    setting: str | None,
    zone: ServerZone,
    found: time_zone.Newest | None,
    profile: Mapping[str, str],
) -> Finding:
    """Return whether the setting `timezone` can be right.

    Args:
        setting: The setting.
        zone: The zone that it means.
        found: The newest record.
        profile: What the login reported.
    """
    likely = time_zone.guess(found, profile) if found else None
    name = likely.name if likely and likely.is_likely else None
    facts = {"timezone": setting, "guess": name}
    ask = "Save a record in Kafinea and run the check again."
    set_it = f"Set `timezone` (TAP_KAFINEA_TIMEZONE){f' to {name}' if name else ''}. "
    if found is None:
        return Finding("time zone", f"{setting or 'not set'}; no record shows it", Status.WARNING,
                       ask, facts)  # fmt: skip
    if not found.is_possible(zone):
        return Finding(
            "time zone",
            f"{setting or 'not set, so UTC'}: then the newest record of {found.module} would be "
            f"saved {_h_mm(-found.age(zone))} (h:mm) in the future",
            Status.PROBLEM,
            set_it + ("" if name else ask),
            facts,
        )
    age = found.age(zone)
    text = f"then the newest record of {found.module} is {time_zone.in_words(age)} old"
    if not setting:
        return Finding("time zone", f"not set, so UTC: {text}", Status.WARNING,
                       set_it + ("" if name else ask), facts)  # fmt: skip
    if age <= time_zone.RECENT:
        return Finding("time zone", f"{setting}: {text}, as it should be", facts=facts)
    if name:
        return Finding(
            "time zone", f"{setting}: {text}. In {name}, it is {_words(likely)} old",
            Status.WARNING, f"{set_it}Or save a record, and run the check again.", facts,
        )  # fmt: skip
    return Finding("time zone", f"{setting}: {text}, which does not show the zone. {ask}",
                   facts=facts)  # fmt: skip


def _words(guess: time_zone.Guess | None) -> str:
    return time_zone.in_words(guess.age) if guess else ""


def _h_mm(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds()))).rpartition(":")[0]


def _speed(client: Client, modules: Mapping[str, Module | None]) -> Iterator[Finding]:
    of = speed.sample(client, _candidates(_readable(modules)))
    if of is None:
        yield Finding("speed", "there are no records to measure it with")
        return
    seconds, records = speed.seconds_of_a_page(client, of)
    yield Finding(
        "page", f"{records} records of {of.module} in {seconds * 1000:,.0f} ms",
        facts={"module": of.module, "records": records, "milliseconds": round(seconds * 1000)},
    )  # fmt: skip
    largest = speed.largest_page(client, of)
    text = (
        f"{largest:,} records"
        if largest
        else f"not known: one page has all {of.records:,} records of {of.module}"
    )
    yield Finding("largest page", text, facts={"records": largest})
    rates = speed.pages_a_second(client, of, client.max_sessions)
    useful = speed.useful_sessions(rates)
    measured = ", ".join(f"{rate:,.0f} pages/s with {count}" for count, rate in rates.items())
    yield Finding(
        "sessions", f"{useful} of {client.max_sessions} help now: {measured}",
        facts={"useful": useful, "pages_per_second": {n: round(r, 1) for n, r in rates.items()}},
    )  # fmt: skip


def _candidates(modules: Sequence[Module]) -> list[Module]:
    """Return the modules of which the largest is measured."""
    return time_zone.often_saved(modules)
