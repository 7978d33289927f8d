"""Writes docs/performance.md and its pictures from the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks import reading, results, writing
from benchmarks.cases import IMPORT, LATENCIES, LOADED, MEMORY_ROWS, ROWS, SESSIONS, VERSION
from benchmarks.goals import GOALS
from benchmarks.measure import ROOT
from benchmarks.reading import READERS, TAP, Night
from benchmarks.results import Measure, Results
from benchmarks.writing import TARGET

_DOCUMENT = ROOT / "docs" / "performance.md"
_PICTURES = ROOT / "docs" / "performance"
_COLORS = dict(zip(READERS, ("#087f5b", "#c92a2a", "#7048e8", "#e8590c", "#868e96"), strict=True))

_TEXT = """\
# Performance

After reading this page, you know how fast `tap-kafinea` and `target-kafinea` are compared with
other tools, and what a run costs in requests, CPU and memory.

`make bench ROUNDS={rounds}` wrote this page. In each round, each case runs once. The figures are
medians over the rounds. They were measured on {processor}, {system}, Python {python}, with
{packages}.

On this page: [How it is measured](#how-it-is-measured) ·
[Goals](#goals) ·
[Records a second](#records-a-second) ·
[Cost of a run](#cost-of-a-run) ·
[Nightly run](#nightly-run) ·
[Loading](#loading) ·
[Start](#start)

## How it is measured

The server is a stand-in that answers from memory after a fixed time. It has contacts with 60
fields, returns at most 100 records in a request, and its ids have gaps, as those of real modules.
As on a real server, a session processes one request at a time. A run counts only if no record is
missing or duplicated. All tools write to files, which are checked afterwards.

- `tap-kafinea` and `target-kafinea` run as commands, with a catalog.
- `cookiecutter tap` and `cookiecutter target` are made from the template of the Singer SDK:
  paging by offset, one session, one request for each record that is written.
- `dlt` is its `rest_api` source, which writes JSON lines. `script` is a script of twenty lines
  with `requests`.
- `raw HTTP` and `raw creations` are the ceiling: the same number of threads, sessions and
  kept-alive connections. They send known requests with `http.client` and count bytes, without
  parsing. Their time begins after their logins. The time of all other tools begins with their
  first request and includes the logins.

## Goals

{goals}

What limits the rates: a tap is one Python process, which uses at most one processor core. If the
server answers faster than a core can read, the core is the limit, with any number of sessions: see
"CPU us/record".
Loading 2,000 records again takes nine round trips, one after the other: challenge, login,
listtypes, describe, further logins, three rounds of look-ups, logout.

## Records a second

![Records a second by latency and by sessions](performance/speed.png)

{speed}

Each case reads {rows:,} records; at 200 ms, at most {slow_rows:,} for each session.

## Cost of a run

![Requests, CPU, memory, nightly run](performance/cost.png)

At 0 ms:

{cost_0}

At 50 ms:

{cost_50}

- "With start" is the rate including the start of Python. "CPU us/record" is the processor time for
  a record in microseconds, also including the start.
- "Concurrent" is the maximum number of concurrent requests that the server saw. More than the
  number of sessions is an error. At 0 ms, the server answers each request before it reads the
  next one.
- "Server" is the share of a processor that the server used. The server is not the bottleneck: at
  0 ms, it returned {limit:,.0f} records a second to `raw HTTP`, {times:.0f} times the rate of the
  fastest reader.

Peak memory, in MB:

{memory}

## Nightly run

{modules} modules, {changed} of which have {changes} changes each, at 50 ms, with the state of an
earlier run:

{night}

## Loading

{loaded:,} contacts at 50 ms: new ones, and the same ones again without changes. A record with a
changed field takes two requests: it is read completely before it is written, and the response to
the write is compared with that.

{load}

The checks cost few requests. This table compares the requests for 10,000 contacts with 8
sessions, including logins and logouts. "Before" is version 0.1.0 at commit 095ea5a, which
compared only the loaded fields. Both were measured on 2026-11-28 with `benchmarks.writing`:

|  | Before | Now | Difference |
| --- | ---: | ---: | ---: |
| new records | 10,223 | 10,326 | 1.0% |
| each with a changed field | 20,121 | 20,125 | 0.02% |
| nothing changed | 121 | 121 | 0% |

New records are looked up once more, a hundred in a request. A changed record took two requests
before, too: it is read before it is written. The response to the write contains the whole record,
which proves the result. If a server's responses do not contain the record, a query reads a
hundred written records again: 1% more. The remaining requests are the check of the first update,
the formats of the user, and two requests that show whether the server has `revise`.

## Start

{start}
"""


def write() -> str:
    """Write the page and its pictures; return the page."""
    bench = Results()
    _PICTURES.mkdir(exist_ok=True)
    _draw_speed(bench)
    _draw_cost(bench)
    text = _TEXT.format(
        **bench.machine,
        goals=_table(
            ["", "Goal", "Measured", "Reached"], [goal.row(bench) for goal in GOALS], right=()
        ),
        speed=_speed(bench),
        rows=ROWS,
        limit=_fastest(bench, reading.LIMIT),
        times=_fastest(bench, reading.LIMIT)
        / max(_fastest(bench, who) for who, reader in READERS.items() if reader.ids),
        slow_rows=min(case.rows for case, _ in bench.runs("read", TAP)),
        cost_0=_cost(bench, 0),
        cost_50=_cost(bench, 50),
        memory=_memory(bench),
        modules=len(Night.MODULES),
        changed=len(Night.CHANGED),
        changes=Night.CHANGES,
        night=_night(bench),
        loaded=LOADED,
        load=_load(bench),
        start=_table(
            ["", "Seconds"],
            [
                [f"`{name}`", _figure(bench, "{:.2f}", results.seconds, "start", name)]
                for name in (VERSION, f"{IMPORT}")
            ],
        ),
    )
    if bench.failed:
        lines = (
            f"- {one['case']['kind']}, {one['case']['who']}: {one['error']}" for one in bench.failed
        )
        text += "\n## Failed runs\n\n" + "\n".join(lines) + "\n"
    _DOCUMENT.write_text(text)
    return text


def _speed(bench: Results) -> str:
    rows = []
    for who, reader in READERS.items():
        for sessions in SESSIONS if reader.is_parallel else (1,):
            rates = [
                _figure(
                    bench, "{:,.0f}", results.rate, "read", who, latency_ms=ms, sessions=sessions
                )
                for ms in LATENCIES
            ]
            rows.append([who, str(sessions), *rates])
    return _table(["", "Sessions", *(f"{ms} ms" for ms in LATENCIES)], rows)


_COSTS: tuple[tuple[str, str, Measure], ...] = (
    ("Records/s", "{:,.0f}", results.rate),
    ("With start", "{:,.0f}", results.whole_rate),
    ("Requests", "{:,.0f}", results.requests),
    ("Concurrent", "{:.0f}", results.sessions),
    ("CPU us/record", "{:.0f}", results.cpu),
    ("Peak MB", "{:.0f}", results.peak),
    ("Server", "{:.0%}", results.server_share),
)


def _fastest(bench: Results, who: str) -> float:
    return max(bench.read(results.rate, who, 0, sessions) for sessions in SESSIONS)


def _cost(bench: Results, latency_ms: int) -> str:
    rows = [
        [
            who,
            str(sessions),
            *(
                _figure(
                    bench, shown, measure, "read", who, latency_ms=latency_ms, sessions=sessions
                )
                for _, shown, measure in _COSTS
            ),
        ]
        for who, reader in READERS.items()
        for sessions in (SESSIONS if reader.is_parallel else (1,))
    ]
    return _table(["", "Sessions", *(name for name, _, _ in _COSTS)], rows)


def _memory(bench: Results) -> str:
    rows = [
        [who, *(_figure(bench, "{:.0f}", results.peak, "memory", who, rows=n) for n in MEMORY_ROWS)]
        for who, reader in READERS.items()
        if reader.ids
    ]
    return _table(["", *(f"{count:,} records" for count in MEMORY_ROWS)], rows)


def _night(bench: Results) -> str:
    rows = [
        [
            f"{who}, {'with changes' if changes else 'no changes'}",
            _figure(bench, "{:.2f}", results.seconds, "night", who, rows=changes),
            _figure(bench, "{:.2f}", results.active, "night", who, rows=changes),
            _figure(bench, "{:.0f}", results.requests, "night", who, rows=changes),
            _figure(bench, "{:.0f}", results.sessions, "night", who, rows=changes),
        ]
        for changes in (Night.CHANGES, 0)
        for who in Night.TAPS
    ]
    return _table(["", "Seconds", "Without start", "Requests", "Concurrent"], rows)


_HOW_LOADED = {"reload": ", again", "change": ", changed"}


def _load(bench: Results) -> str:
    rows = [
        [
            f"{who}{_HOW_LOADED.get(kind, '')}",
            _figure(bench, "{:.2f}", results.active, kind, who),
            _figure(bench, "{:,.0f}", results.rate, kind, who),
            _figure(bench, "{:,.0f}", results.requests, kind, who),
            _figure(bench, "{:,.0f}", results.writes, kind, who),
            _figure(bench, "{:.0f}", results.sessions, kind, who),
        ]
        for kind, who in (
            ("load", TARGET),
            ("load", writing.LIMIT),
            ("load", writing.COOKIECUTTER),
            ("reload", TARGET),
            ("change", TARGET),
        )
    ]
    measured = [row for row in rows if any(row[1:])]
    return _table(["", "Seconds", "Records/s", "Requests", "Writes", "Concurrent"], measured)


def _figure(bench: Results, shown: str, measure: Measure, kind: str, who: str, **where: int) -> str:
    try:
        return shown.format(bench.median(measure, kind, who, **where))
    except LookupError:
        return ""


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] | None = None
) -> str:
    """Return a table. All columns but the first are aligned to the right by default."""
    places = range(1, len(head)) if right is None else right
    rule = ["---:" if place in places else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _draw_speed(bench: Results) -> None:
    figure, (by_latency, by_sessions) = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    for who, reader in READERS.items():
        for sessions in (4, 16) if reader.is_parallel else (1,):
            label = f"{who}, {sessions} sessions" if reader.is_parallel else who
            where = [{"latency_ms": ms, "sessions": sessions} for ms in LATENCIES]
            _line(
                by_latency, bench, results.rate, "read", who, LATENCIES, where, label, sessions == 4
            )
        where = [
            {"latency_ms": 50, "sessions": count if reader.is_parallel else 1} for count in SESSIONS
        ]
        _line(by_sessions, bench, results.rate, "read", who, SESSIONS, where, who)
    by_latency.set(
        xlabel="latency in ms", ylabel="records a second", yscale="log", xticks=LATENCIES
    )
    by_sessions.set(xlabel="sessions, at 50 ms", xticks=SESSIONS)
    _save(figure, by_latency, by_sessions, name="speed")


def _draw_cost(bench: Results) -> None:
    figure, ((requests, cpu), (memory, night)) = plt.subplots(2, 2, figsize=(11, 8))
    readers = [who for who, reader in READERS.items() if reader.ids]
    for axes, measure, title in (
        (requests, results.requests, "requests for a full run, 50 ms, 4 sessions"),
        (cpu, results.cpu, "CPU for a record, microseconds, 0 ms, 4 sessions"),
    ):
        latency = 50 if measure is results.requests else 0
        for who in READERS:
            with suppress(LookupError):
                axes.barh(who, bench.read(measure, who, latency, 4), color=_COLORS[who])
        axes.set(xlabel=title)
        axes.invert_yaxis()
    for who in readers:
        where = [{"rows": rows} for rows in MEMORY_ROWS]
        _line(memory, bench, results.peak, "memory", who, MEMORY_ROWS, where, who)
    memory.set(xlabel="records", ylabel="peak MB", xscale="log", ylim=0)
    for changes in (Night.CHANGES, 0):
        for who in Night.TAPS:
            with suppress(LookupError):
                label = f"{who},\n{'3 x 50 changes' if changes else 'no changes'}"
                taken = bench.median(results.seconds, "night", who, rows=changes)
                night.barh(label, taken, color=_COLORS[who])
    night.set(xlabel="nightly run: seconds, with the start of Python")
    night.invert_yaxis()
    _save(figure, memory, name="cost")


def _line(
    axes: Axes,
    bench: Results,
    measure: Measure,
    kind: str,
    who: str,
    places: Sequence[int],
    where: Sequence[dict[str, int]],
    label: str,
    dashed: bool = False,
) -> None:
    points = []
    for place, condition in zip(places, where, strict=True):
        with suppress(LookupError):
            points.append((place, bench.median(measure, kind, who, **condition)))
    if points:
        style = "--" if dashed else "-"
        axes.plot(*zip(*points, strict=True), style, marker="o", color=_COLORS[who], label=label)


def _save(figure: plt.Figure, *with_legend: Axes, name: str) -> None:
    for axes in filter(Axes.has_data, with_legend):
        axes.legend(fontsize="small", frameon=False)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(_PICTURES / f"{name}.png", dpi=100)
    plt.close(figure)
