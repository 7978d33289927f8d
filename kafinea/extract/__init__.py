"""Extraction: the records of a module in batches, with a checkpoint after each.

Knows nothing of Singer, and can be used by itself:

    rows, checkpoint = [], None
    with Client("https://apps.kafinea.com/MyCompany", "ada", access_key) as client:
        for batch in Extraction(client, "Contacts", timezone="Europe/Paris").batches(checkpoint):
            rows += batch.rows
            checkpoint = batch.checkpoint

The last checkpoint, handed to the next run, brings only what changed since. `Checkpoint.to_dict`
and `Checkpoint.from_dict` keep it as JSON meanwhile. Keep one checkpoint for each module.

An adapter, such as the tap, shares a `Clock` among its extractions, may find deleted records with a
`DeletionDetector`, and reads an `ExtractionRun`.
"""

from kafinea.extract.batch import Batch, RunSummary
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.deletion_scan import DeletionDetector
from kafinea.extract.extraction import Extraction
from kafinea.extract.module_rows import Fields
from kafinea.extract.options import Options
from kafinea.extract.run import ExtractionRun

__all__ = [
    "Batch",
    "Checkpoint",
    "Clock",
    "DeletionDetector",
    "Extraction",
    "ExtractionRun",
    "Fields",
    "Options",
    "RunSummary",
]
