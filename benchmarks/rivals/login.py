"""The login, which each of the rivals needs once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import requests


def login(http: requests.Session, config: Mapping[str, Any]) -> str:
    """Return the name of a new session."""
    asked = {"operation": "getchallenge", "username": config["username"]}
    token = http.get(config["url"], params=asked).json()["result"]["token"]
    answered = {
        "operation": "login",
        "username": config["username"],
        "accessKey": hashlib.md5((token + config["access_key"]).encode()).hexdigest(),
    }
    name: str = http.post(config["url"], data=answered).json()["result"]["sessionName"]
    return name
