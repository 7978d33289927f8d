"""How many sessions may work at once: as many as are of use, and as the server allows.

Two rules decide.

- Additive increase, multiplicative decrease, as TCP avoids congestion (RFC 5681, section 3.1): when
  the server, or a proxy before it, reports that it is busy (429, 502, 503, 504), half as many
  sessions work, and one more again after each row of good answers.
- Hill climbing on the latency. A server may take all requests and work on a few at a time: then
  more sessions only wait longer. No single latency shows that, for queries differ, and a server is
  slower by day. So now and then, for a few answers, half or twice as many sessions work, and the
  latencies are compared: the greater number has to bring a fifth more answers per second, or else
  the smaller one stays.

Here is no clock and no lock: the user of a limit hands in the seconds, from one thread at a time.
"""

from __future__ import annotations

from math import exp, log
from statistics import median

_ROW = 50
"""Good answers after which one more session is allowed, or a trial that did good is repeated."""
_FIRST_TRIAL = 200
"""Answers before the first trial: a short run has none."""
_LAST_TRIAL = 800
"""The most answers between trials, because a trial of fewer costs time."""
_WORTH = 1.2
"""How many times the answers twice the sessions have to bring."""
_KNOWN = 12
"""Answers after which the latency of a kind is known, and the fewest of a trial."""
_OUR_OWN = 0.02
"""Seconds below which a latency tells more of our own work than of the server's: then nobody is
spared by fewer sessions."""
_MANY_KINDS = 1000


class ConcurrencyLimit:
    """The number of sessions that may work at once.

    Each request keeps the `epoch` in which it begins and hands it back with its result: what began
    under another limit says nothing about this one.

    Args:
        most: The most sessions.
    """

    def __init__(self, most: int) -> None:
        self.epoch = 0
        self._most = most
        self._allowed = most  # as refusals leave it
        self._useful = most  # as trials find it
        self._tried: int | None = None
        self._good = 0
        self._upwards = False
        self._trial_after = _FIRST_TRIAL
        self._begin_epoch(forget=True)

    @property
    def limit(self) -> int:
        """How many sessions may work now."""
        return self._tried or self.baseline

    @property
    def baseline(self) -> int:
        """How many may work apart from trials."""
        return min(self._useful, self._allowed)

    def refused(self, epoch: int) -> None:
        """Take note of a request for which the server had no room."""
        self._good = 0
        # Requests that were under way together are refused together: they count as one.
        if epoch == self.epoch:
            self._allowed = max(1, self.limit // 2)
            self._tried = None
            self._begin_epoch(forget=True)

    def answered(self, kind: str, seconds: float, epoch: int) -> None:
        """Take note of a good answer.

        Args:
            kind: What was requested; only latencies of one kind are compared with each other.
            seconds: How long it took.
            epoch: The epoch in which the request began.
        """
        if self._allowed < self._most:
            self._good += 1
            if self._good == _ROW:
                self._good = 0
                self._allowed += 1
        if epoch != self.epoch:
            return
        if self._tried is None:
            self._learn(kind, seconds)
        else:
            self._compare(kind, seconds, self._tried)

    def _learn(self, kind: str, seconds: float) -> None:
        count, mean = self._known.get(kind, (0, 0.0))
        if count >= _KNOWN:
            self._answers += 1
            self._slow += seconds >= _OUR_OWN
        count += 1
        # Of logarithms: one answer that takes a hundred times as long changes little.
        mean += (_log(seconds) - mean) / min(count, 2 * _KNOWN)
        if len(self._known) >= _MANY_KINDS:
            self._known.clear()
        self._known[kind] = count, mean
        if self._answers >= self._trial_after:
            self._tried = self._worth_trying()
            self._begin_epoch()

    def _worth_trying(self) -> int | None:
        baseline = self.baseline
        more = min(2 * baseline, self._allowed)
        fewer = max(1, baseline // 2) if 2 * self._slow >= self._answers else baseline
        first, second = (more, fewer) if self._upwards else (fewer, more)
        tried = first if first != baseline else second
        return tried if tried != baseline else None

    def _compare(self, kind: str, seconds: float, tried: int) -> None:
        self._answers += 1
        count, mean = self._known.get(kind, (0, 0.0))
        if count >= _KNOWN:
            self._differences.append(_log(seconds) - mean)
        needed = max(_KNOWN, tried)
        if len(self._differences) >= needed:
            gain = tried / self.baseline / exp(median(self._differences))
            self._end_trial(
                tried, succeeded=gain >= (_WORTH if tried > self.baseline else 1 / _WORTH)
            )
        elif self._answers >= 4 * needed:  # other things are requested now
            self._end_trial(tried, succeeded=False)

    def _end_trial(self, tried: int, *, succeeded: bool) -> None:
        """Stay with the number that was tried and try more of it, or turn back."""
        self._upwards = (tried > self.baseline) == succeeded
        self._trial_after = _ROW if succeeded else min(2 * self._trial_after, _LAST_TRIAL)
        self._tried = None
        if succeeded:
            self._useful = tried
        self._begin_epoch(forget=succeeded)

    def _begin_epoch(self, *, forget: bool = False) -> None:
        """Begin with a new limit, and perhaps learn anew how long answers take with it."""
        self.epoch += 1
        self._answers = self._slow = 0
        self._differences: list[float] = []  # of logarithms
        if forget:
            self._known: dict[str, tuple[int, float]] = {}


def _log(seconds: float) -> float:
    return log(max(seconds, 1e-6))  # a clock may stand still
