"""Writes docs/performance.md and its pictures from the results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks import reading, results, warehouses, writing
from benchmarks.cases import IMPORT, LATENCIES, LOADED, MEMORY_ROWS, ROWS, SESSIONS, VERSION
from benchmarks.goals import GOALS
from benchmarks.measure import ROOT
from benchmarks.reading import READERS, TAP, Night
from benchmarks.results import Measure, Results
from benchmarks.writing import TARGET

_DOCUMENT = ROOT / "docs" / "performance.md"
_PICTURES = ROOT / "docs" / "performance"
_COLORS = dict(zip(READERS, ("#087f5b", "#c92a2a", "#7048e8", "#e8590c", "#868e96"), strict=True))

_TEMPLATE = Path(__file__).with_name("page.md")


def write() -> str:
    """Write the page and its pictures; return the page."""
    bench = Results()
    _PICTURES.mkdir(exist_ok=True)
    _draw_speed(bench)
    _draw_cost(bench)
    text = _TEMPLATE.read_text().format(
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
        into_rows=warehouses.ROWS,
        into_0=_into(bench, 0),
        into_50=_into(bench, 50),
        processors=os.cpu_count(),
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


def _into(bench: Results, latency_ms: int) -> str:
    where = {"latency_ms": latency_ms}
    alone = bench.median(results.rate, "warehouse", TAP, **where)
    rows = []
    for who in (TAP, *warehouses.WAYS):
        with suppress(LookupError):
            share = bench.median(results.rate, "warehouse", who, **where) / alone
            figures = [
                _figure(bench, shown, measure, "warehouse", who, **where)
                for _, shown, measure in _INTO
            ]
            rows.append([who, *figures, f"{share:.0%}"])
    return _table(["", *(name for name, _, _ in _INTO), "Of the tap alone"], rows)


_INTO: tuple[tuple[str, str, Measure], ...] = (
    ("Seconds", "{:.1f}", results.active),
    ("Records/s", "{:,.0f}", results.rate),
    ("CPU us/record", "{:.0f}", results.cpu),
    ("Peak MB", "{:.0f}", results.peak),
)
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
