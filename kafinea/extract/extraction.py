"""The extraction of a module, as a library: rows in batches, with a checkpoint after each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property, partial

from kafinea.client import Client
from kafinea.describe import MODIFIED, Module
from kafinea.errors import Refused, SettingsError
from kafinea.extract.batch import Batch
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.deletion_scan import DeletionDetector
from kafinea.extract.discovery import Modules
from kafinea.extract.line_fields import line_fields, line_module
from kafinea.extract.module_rows import Fields, ModuleContent
from kafinea.extract.options import Options
from kafinea.extract.run import ExtractionRun, Source
from kafinea.suggestions import suggestion
from kafinea.values import value_type_of


class Extraction:
    """The records of a module, all of them or what changed since a checkpoint.

    Each row is a dict of typed values by field name: strings, bools, ints, Decimals and lists of
    strings. Dates are strings YYYY-MM-DD, date-times RFC 3339 strings with an offset.

    Args:
        client: The instance.
        module: The name of the module.
        fields: The fields to extract, by name or with their types; all that a query gives if None.
            `id` is always among them.
        line_items: Whether documents bring their lines in `LineItems`; only where `fields` has no
            types.
        timezone: The zone of the server's date-times, such as Europe/Paris, or the `Clock` that
            several extractions share. UTC if None, with a warning.
        options: How to extract.
        is_incremental: Whether to read only what changed since the checkpoint. If None, wherever
            the module has a `modifiedtime`.
        name: The name for messages; that of the module if None.
        detector: Finds the deleted records of the module, if that is wanted.

    Raises:
        SettingsError: There is no such time zone.
        TypeError: `fields` is a string, or `options` is not `Options`.
    """

    def __init__(
        self,
        client: Client,
        module: str,
        fields: Fields | Collection[str] | None = None,
        *,
        line_items: bool = False,
        timezone: str | Clock | None = None,
        options: Options = Options(),  # noqa: B008 it is frozen
        is_incremental: bool | None = None,
        name: str | None = None,
        detector: DeletionDetector | None = None,
    ) -> None:
        if isinstance(fields, str):
            raise TypeError(f"`fields` is the string {fields!r}. Pass a list: [{fields!r}].")
        if not isinstance(options, Options):
            kind = type(options).__name__
            raise TypeError(f"`options` is a {kind}. Pass Options(page_size=100), for instance.")
        self._client = client
        self._module = module
        self._given = fields
        self._line_items = line_items
        self._options = options
        self._is_incremental = is_incremental
        self._name = name or module
        self._detector = detector
        self._clock = (
            timezone if isinstance(timezone, Clock) else Clock(timezone, client.server_time)
        )

    @cached_property
    def fields(self) -> Fields:
        """The fields of a row and their types. The module is described if they are not known.

        Raises:
            Refused: There is no such module for this user.
            SettingsError: The module has no such field.
        """
        if isinstance(self._given, Fields):
            return self._given
        module = self._described
        known = module.queryable if self._given is None else [*module.fields]
        names = ["id", *(known if self._given is None else self._given)]
        for name in names:
            if name not in module.fields:
                hint = suggestion(name, known)
                raise SettingsError(f"{self._module} has no field {name!r}.{hint}")
        record = {name: value_type_of(module.fields[name].type) for name in names}
        if not (self._line_items and module.is_inventory):
            return Fields(record)
        lines = line_fields(module, line_module(self._client))
        return Fields(record, {field.name: value_type_of(field.type) for field in lines})

    def batches(self, checkpoint: Checkpoint | None = None) -> Iterator[Batch]:
        """Yield the rows in batches, in the order of their ids.

        Hand the checkpoint of the last batch to the next run to get only what changed.

        Raises:
            StateError: The checkpoint is that of another module or instance.
            TypeError: It is not a `Checkpoint`.
            KafineaError: Not all could be read. What was yielded before is right.
        """
        if not isinstance(checkpoint, Checkpoint | None):
            kind = type(checkpoint).__name__
            raise TypeError(f"`checkpoint` is a {kind}. Pass Checkpoint.from_dict(checkpoint).")
        checkpoint = (checkpoint or Checkpoint()).of_module(self._module)
        run = self.start(checkpoint)
        self._clock.begin({self._name: checkpoint} if self._reads_changes else {})
        return run.batches()

    def start(self, checkpoint: Checkpoint | None = None) -> ExtractionRun:
        """Return a run from a checkpoint, for an adapter such as the tap.

        Unlike `batches`, it does not mark the checkpoint with its module, and does not check the
        clock: an adapter keeps each checkpoint under the name of its stream, and calls
        `Clock.begin` once for all streams.

        Raises:
            StateError: The checkpoint is that of another instance.
        """
        fields, clock, options = self.fields, self._clock, self._options
        source = Source(
            client=self._client,
            module=self._module,
            name=self._name,
            clock=clock,
            options=options,
            is_incremental=self._reads_changes,
            detector=self._detector,
        )
        make = partial(
            ModuleContent,
            *(self._client, self._module, self._name, fields, clock.zone, options.page_size),
        )
        return ExtractionRun(source, make, checkpoint or Checkpoint())

    @property
    def _reads_changes(self) -> bool:
        if self._is_incremental is None:
            return MODIFIED in self._described.fields
        return self._is_incremental

    @cached_property
    def _described(self) -> Module:
        try:
            return self._client.describe(self._module)
        except Refused as error:
            modules = Modules(self._client, self._client.username, [])
            if self._module in modules.shown:
                raise
            raise Refused(modules.not_found(self._module), code=error.code) from None
