"""The file of a record: read, decoded and checked before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import Any

from typing_extensions import override

from kafinea.contents import Decoder
from kafinea.errors import TooLarge
from kafinea.load.plan import FILE_BASE64, FILE_NAME, FILE_PATH, RELATED_TO, LoadPlan
from kafinea.load.records import InputRecord
from kafinea.load.results import Rejected
from kafinea.load.source_files import SourceFiles

_PIECE = 2**20
_IN_MEMORY = 2**20  # bytes of a file on its way; what is larger goes through a temporary file


@dataclass(frozen=True)
class RecordFile:
    """The file of a record.

    Attributes:
        source: The property that contains it.
        name: Its name.
        content: The file itself.
        size: How many bytes it has.
        sha256: Their digest.
    """

    source: str
    name: str
    content: Any
    size: int
    sha256: str

    @property
    def described(self) -> str:
        """What distinguishes it from others, as a plan shows it."""
        return f"{self.name or 'file'}, {self.size:,} bytes, sha256 {self.sha256}"


class _Spool(SpooledTemporaryFile[bytes]):
    """A file on its way, which may have no room on this machine."""

    @override
    def write(self, piece: Any) -> int:
        try:
            return super().write(piece)
        except OSError as error:
            text = f"the temporary folder cannot hold the file: {error.strerror}. Set TMPDIR"
            raise Rejected("FILE_NOT_READABLE", f"{text} to a folder with more space") from None


class RecordFiles:
    """Reads the files of the records of a stream.

    Args:
        plan: How its records go into their module.
        sources: Opens files by their path.
    """

    def __init__(self, plan: LoadPlan, sources: SourceFiles) -> None:
        self._properties = plan.files
        self._sources = sources
        fields = plan.module.fields.values()
        self._most = next((one.max_bytes for one in fields if one.max_bytes), None)

    @contextmanager
    def of(self, record: InputRecord) -> Iterator[RecordFile | None]:
        """Yield the file of a record, read and checked, if it has one.

        Raises:
            Rejected: It cannot be read, or not be taken.
        """
        values = {name: self._value(record, name) for name in (FILE_PATH, FILE_BASE64)}
        sources = [name for name, value in values.items() if value]
        if not sources:
            yield None
            return
        if len(sources) > 1:
            raise Rejected("INVALID_VALUE", f"set {FILE_PATH} or {FILE_BASE64}, not both")
        (source,) = sources
        if not isinstance(values[source], str):
            raise Rejected("INVALID_VALUE", f"{source}: the value is not a string")
        with _Spool(_IN_MEMORY) as content:
            read = self._read_path if source == FILE_PATH else self._read_base64
            name = read(values[source], content)
            if given_name := self._value(record, FILE_NAME):
                name = str(given_name)
            if not name:
                text = f"{self._properties.get(FILE_NAME, FILE_NAME)}: the file has no name"
                raise Rejected("MANDATORY_FIELD_MISSING", text)
            size = content.seek(0, SEEK_END)
            if not size:
                raise Rejected("INVALID_VALUE", f"{source}: the file is empty")
            yield RecordFile(self._properties[source], name, content, size, _sha256(content))

    def _value(self, record: InputRecord, name: str) -> Any:
        return value_of(record, self._properties.get(name))

    def _read_path(self, path: str, content: Any) -> str:
        """Read a file, and return its name."""
        try:
            file, name = self._sources.open(path)
            with file:
                while piece := file.read(_PIECE):
                    content.write(piece)
                    self._check_size(content.tell())
        except FileNotFoundError:
            raise Rejected("FILE_NOT_FOUND", f"{FILE_PATH}: file not found") from None
        except Rejected as error:
            raise Rejected(error.rejection.code, f"{FILE_PATH}: {error}") from None
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            text = f"{FILE_PATH}: the file cannot be read ({type(error).__name__})"
            raise Rejected("FILE_NOT_READABLE", text) from None
        return name

    def _read_base64(self, text: str, content: Any) -> str:
        """Decode a file; it has no name."""
        decoder = Decoder(content, self._most)
        try:
            for start in range(0, len(text), _PIECE):
                piece = text[start : start + _PIECE].encode("ascii")
                if b"\\" in piece:
                    raise ValueError  # noqa: TRY301 as the decoder does
                decoder.feed(piece.translate(None, b" \t\r\n"))
            decoder.finish()
        except ValueError:
            raise Rejected(
                "INVALID_VALUE", f"{FILE_BASE64}: the value is not valid base64"
            ) from None
        except TooLarge as error:
            self._check_size(error.size)
        return ""

    def _check_size(self, size: int) -> None:
        if self._most is not None and size > self._most:
            text = f"the file has more than {self._most:,} bytes, the maximum that Kafinea accepts"
            raise Rejected("FILE_TOO_LARGE", text)


def value_of(record: InputRecord, name: str | None) -> Any:
    """Return the value of a property, if there is one: the index of a table may be named ""."""
    return None if name is None else record.record.get(name)


def sources_of(plan: LoadPlan, record: InputRecord) -> list[str]:
    """Return the records among whose documents one is to be: ids, or their natural keys.

    Raises:
        Rejected: The value is no list. A comma parts ids alone: keys may contain it.
    """
    value = value_of(record, plan.files.get(RELATED_TO))
    separates = isinstance(value, str) and RELATED_TO not in plan.references
    listed = value.split(",") if separates else [value] if isinstance(value, str) else value or []
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise Rejected("INVALID_VALUE", f"{RELATED_TO}: the value is not a list of ids")
    return [text for each in listed if (text := each.strip())]


def _sha256(content: Any) -> str:
    digest = hashlib.sha256()
    content.seek(0)
    while piece := content.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
