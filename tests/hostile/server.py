"""A Kafinea whose answers to some operations a test chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.small_server import Raw, Refusal, SmallServer

Answer = Callable[[int, Any], "bytes | tuple[int, bytes, dict[str, str]] | None"]
"""Given how often the operation was requested before, and the honest result: what to send."""


class AnyServer(SmallServer):
    """Answers honestly, or as `answers` says.

    Attributes:
        answers: What is answered, by operation.
        seen: How often each operation was requested.
    """

    def __init__(self, **fields: str) -> None:
        super().__init__(**fields)
        self.answers: dict[str, Answer] = {}
        self.seen: Counter[str] = Counter()

    def do(self, operation: str, said: dict[str, str]) -> Any:
        try:
            result, refusal = super().do(operation, said), None
        except Refusal as error:
            result, refusal = None, error
        number = self.seen[operation]
        self.seen[operation] += 1
        answer = self.answers.get(operation)
        sent = answer(number, result) if answer else None
        if isinstance(sent, bytes):
            raise Raw(200, sent)
        if sent:
            status, body, headers = sent
            raise Raw(
                status, body, **{name.replace("-", "_"): text for name, text in headers.items()}
            )
        if refusal:
            raise refusal
        return result

    def begin(self, **answers: Answer) -> None:
        """Forget all requests, and answer like this from now on."""
        self.answers = answers
        self.seen.clear()
        self.requests.clear()
