"""The file `.env`: its values, and how some of them are set."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from kafinea import private
from kafinea.errors import SettingsError
from kafinea_cli.files import whole

_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


def values_in(path: Path) -> dict[str, str]:
    """Return the variables of a file that have a value; none if there is no such file.

    Raises:
        SettingsError: It is not text.
    """
    if not path.exists():
        return {}
    return {name: value for name, value in dotenv_values(stream=_stream(path)).items() if value}


def write(path: Path, values: Mapping[str, str]) -> None:
    """Set variables in a file. Its other lines stay as they are.

    At every moment, the file is the old or the new one. Only this user can read it.

    Args:
        path: The file. If it is a link, the file that it leads to is written.
        values: The variables.

    Raises:
        SettingsError: The file is not text, or no file can have this name.
        OSError: It cannot be read, or another user has put it there.
        StorageError: It cannot be written.
    """
    private.refuse_planted(path)  # before it is read
    bindings = list(parse_stream(_stream(path))) if path.exists() else []
    text = _changed(bindings, values)
    with whole(path) as file:
        file.write(text.encode())


def _stream(path: Path) -> io.StringIO:
    """Return the text of a file.

    Raises:
        SettingsError: It is not text.
    """
    try:
        return io.StringIO(path.read_text(encoding="utf-8"))
    except UnicodeError:
        raise SettingsError(f"{path} is not UTF-8 text. Correct it, or remove it.") from None


def _changed(bindings: list[Binding], values: Mapping[str, str]) -> str:
    """Return the text of a file with other values.

    A variable that is set twice stays where it is first.
    """
    text, left = "", dict(values)
    for binding in bindings:
        if binding.key not in values:
            text += binding.original.string
        elif binding.key in left:
            before = binding.original.string[: -len(binding.original.string.lstrip())]
            text = _ended(text) + before + _line(binding.key, left.pop(binding.key))
    return _ended(text) + "".join(_line(name, value) for name, value in left.items())


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _line(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"{name}={value}\n"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'\n"
