"""The ASGI application: the endpoint `webservice.php`, `/_control` for tests, and a page at `/`."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from kafinea_sandbox import php
from kafinea_sandbox.errors import ApiError, Died, Fatal, Garbled
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.operations.table import OPERATIONS
from kafinea_sandbox.server import parameters
from kafinea_sandbox.server.answers import HTML, Answer, refusal, reply
from kafinea_sandbox.server.apply_faults import apply_after, apply_before
from kafinea_sandbox.server.control import Control
from kafinea_sandbox.server.gate import BodyTooLarge, Gate, bounded
from kafinea_sandbox.server.request_log import Request
from kafinea_sandbox.server.welcome import welcome

_LONGEST_REQUEST_LINE = 8192  # nginx
_TOO_LONG = (
    "<html>\r\n<head><title>414 Request-URI Too Large</title></head>\r\n<body>\r\n"
    "<center><h1>414 Request-URI Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n"
    "</body>\r\n</html>\r\n"
)
_FATAL = (
    "<br />\n<b>Fatal error</b>:  Uncaught {0} in /srv/crm/include/Webservices/"
    "OperationManager.php:89\nStack trace:\n#0 {{main}}\n  thrown in "
    "<b>/srv/crm/include/Webservices/OperationManager.php</b> on line <b>89</b><br />\n"
)


class Server:
    """Answers requests to any path that ends in `webservice.php`, to `/_control/...` and to `/`."""

    def __init__(self, control: Control, gate: Gate) -> None:
        self.control = control
        self.gate = gate
        self.instance = control.instance
        # Readers of different sessions run at the same time, as PHP's processes do.
        self.workers = ThreadPoolExecutor(16, thread_name_prefix="kafinea-sandbox")
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = HttpRequest(scope, bounded(receive))
        try:
            await self._served(request, send)
        except BodyTooLarge:
            await reply(send, refusal(413, "The request is too large"))

    async def _served(self, request: HttpRequest, send: Send) -> None:
        scope = request.scope
        _, control, name = scope["path"].partition("/_control")
        if refused := self.gate.refused(request.headers):
            await reply(send, refused)
        elif control:
            await reply(send, await self._control(request, name.strip("/")))
        elif scope["path"] == "/" and request.method == "GET":
            await reply(send, await self._work(welcome, self.control, request.headers["host"]))
        elif not scope["path"].endswith("/webservice.php"):
            await reply(send, Answer(b"<h1>404 Not Found</h1>", 404, HTML))
        elif len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_REQUEST_LINE:
            await reply(send, Answer(_TOO_LONG.encode(), 414, "text/html"))
        else:
            await self._serve(request, send)

    async def _control(self, request: HttpRequest, name: str) -> Answer:
        if refused := self.gate.refused_control(request.method, request.headers):
            return refused
        return Answer(*await self._work(self.control.over_http, name, await request.body()))

    async def _serve(self, request: HttpRequest, send: Send) -> None:
        given = await parameters.read(request)
        operation = given.any("operation").lower()
        everything = given.get | given.post
        log = self.control.requests.add(operation, request.method, everything)
        faults = self.control.faults.for_request(operation, everything)
        session = self.instance.sessions.peek(given.any("sessionName"))
        lock = session.lock if session else asyncio.Lock()
        log.session = session.ordinal if session else None
        log.overlapped = lock.locked()
        log.fault = faults[-1].kind if faults else None
        self.under_way += 1
        log.at_once = self.under_way
        try:
            async with lock:
                await asyncio.sleep(self.instance.options.latency_ms / 1000)
                answer = await apply_before(faults, self.instance, given, send)
                if answer is None:
                    answer = await self._work(self._answer, request.method, given, log)
                log.code = answer.code
                sent = await apply_after(faults, answer, send)
        finally:
            self.under_way -= 1
        if sent:
            log.status = sent.status

    async def _work(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.workers, function, *args)

    def _answer(self, method: str, given: parameters.Parameters, log: Request) -> Answer:
        try:
            result = self._result(method, given, log)
        except ApiError as error:
            details = {"message": error.message, "code": error.code}
            body = self._encoded({"success": False, "error": details})
            return Answer(body, code=error.code)
        except Died as death:
            return Answer(str(death).encode(), content_type=HTML)
        except Garbled as garbled:
            return Answer(garbled.body)
        except Fatal as fatal:
            return self._fatal(str(fatal))
        except Exception:  # noqa: BLE001 - a defect of the sandbox: report it, and go on
            traceback.print_exc(file=sys.stderr)
            return Answer(b"The sandbox itself failed; see its error output.", 500, "text/plain")
        return Answer(self._encoded({"success": True, "result": result}))

    def _encoded(self, answer: dict[str, Any]) -> bytes:
        if self.instance.dialect.more_info:
            answer = answer | {"moreinfo": []}
        return php.encode(answer)

    def _result(self, method: str, given: parameters.Parameters, log: Request) -> Any:
        name = given.any("operation").lower()
        operation = OPERATIONS.get(name)
        if operation is None or not self.instance.has(name):
            if self.instance.dialect.json_refusals:
                raise ApiError("UNKNOWN_OPERATION", "Unknown operation requested")
            raise Fatal("WebServiceException: Unknown operation requested")
        parameters.check_format(given)
        call = Call(
            self.instance,
            name,
            method,
            given.of(operation.verb),
            session_id=given.any("sessionName"),
        )
        if operation.needs_session:
            call.session = self.instance.sessions.use(call.session_id)
        result = operation.run(call)
        log.session = call.session.ordinal if call.session else None
        return result

    def _fatal(self, reason: str) -> Answer:
        if self.instance.dialect.html_fatals:
            return Answer(_FATAL.format(reason).encode(), content_type=HTML)
        return Answer(b"", 500, HTML)
