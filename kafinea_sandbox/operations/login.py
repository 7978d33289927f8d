"""`getchallenge`, `login`, `extendsession` and `logout`."""

from __future__ import annotations

from typing import Any

from kafinea_sandbox.errors import ApiError
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.instance.sessions import Session, expired

_API_VERSION = "0.22"


def getchallenge(call: Call) -> dict[str, Any]:
    """The first step of a login: a challenge."""
    name = call.params.get("username", "")
    if not name:
        raise ApiError("ACCESS_DENIED", "No username given")
    user = call.instance.user_named(name)
    if user is None and call.instance.dialect.one_refusal:
        raise ApiError("AUTHENTICATION_REQUIRED", "Given user cannot be found")
    if user is None:
        raise ApiError("ACCESS_DENIED", "username does not exists")
    return call.instance.sessions.challenge(user)


def login(call: Call) -> dict[str, Any]:
    """The second step of a login: a session."""
    user = call.instance.user_named(call.params.get("username", ""))
    session = call.instance.sessions.login(user, call.params.get("accessKey", ""))
    call.session = session
    profile = session.user.profile() if call.instance.dialect.profile else {}
    return profile | _identity(call.instance, session)


def extendsession(call: Call) -> dict[str, Any]:
    """Answer the session's id. Any other call keeps a session alive as well."""
    verb = call.instance.dialect.extend
    if call.method != "POST" and verb == "POST":
        raise expired("AUTHENTICATION_REQUIRED")
    if call.method != verb or not call.session_id:
        raise ApiError("AUTHENTICATION_FAILURE", "Authencation Failed")
    return _identity(call.instance, call.instance.sessions.use(call.session_id))


def logout(call: Call) -> dict[str, Any]:
    """End the session."""
    if call.method != "POST":
        raise ApiError("OPERATION_NOT_SUPPORTED", "Operation not supported")
    assert call.session  # noqa: S101 - the server has looked it up
    call.instance.sessions.close(call.session)
    return {"message": "successfull"}


def _identity(instance: Instance, session: Session) -> dict[str, Any]:
    return {
        instance.dialect.session_key: session.id,
        "userId": instance.tables["Users"].wire_id(session.user.number),
        "version": _API_VERSION,
        instance.dialect.version_key: instance.dialect.version,
    }
