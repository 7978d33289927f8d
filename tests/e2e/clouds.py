"""Servers of object stores that run on one machine: S3, Google Cloud Storage, Azure."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.e2e.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / ".venv-clouds"
BUCKET = "kafinea"

_AZURE_ACCOUNT = "devstoreaccount1"
# The published key of Azurite's account, which is the same everywhere.
_AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"  # pragma: allowlist secret
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # pragma: allowlist secret
)


@dataclass(frozen=True)
class Cloud:
    """An object store with an empty bucket.

    Attributes:
        url: The bucket.
        state: The same, as Meltano writes it.
        environment: What programs need to reach it.
    """

    url: str
    state: str
    environment: Mapping[str, str]


@contextmanager
def s3() -> Iterator[Cloud]:
    port = free_port()
    with _running(PROGRAMS / "bin/moto_server", "-p", str(port), port=port) as url:
        requests.put(f"{url}/{BUCKET}", timeout=60).raise_for_status()
        environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        yield Cloud(f"s3://{BUCKET}", f"s3://{BUCKET}", environment)


@contextmanager
def gcs() -> Iterator[Cloud]:
    port = free_port()
    program, options = PROGRAMS / "bin/gcp-storage-emulator", ("--host=127.0.0.1", "--in-memory")
    start = ("start", *options, f"--default-bucket={BUCKET}", f"--port={port}")
    with _running(program, *start, port=port) as url:
        yield Cloud(f"gs://{BUCKET}", f"gs://{BUCKET}", {"STORAGE_EMULATOR_HOST": url})


@contextmanager
def azure() -> Iterator[Cloud]:
    program = PROGRAMS / "azurite/node_modules/.bin/azurite-blob"
    if not shutil.which("node") or not program.exists():
        pytest.skip("Azurite needs node.")
    port = free_port()
    options = ("--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--blobPort")
    with _running(program, *options, str(port), port=port) as url:
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_AZURE_ACCOUNT};AccountKey={_AZURE_KEY};"
            f"BlobEndpoint={url}/{_AZURE_ACCOUNT};"
        )
        create = (
            "import sys; from azure.storage.blob import BlobServiceClient as Client;"
            f" Client.from_connection_string(sys.argv[1]).create_container('{BUCKET}')"
        )
        subprocess.run([ROOT / ".venv-meltano/bin/python", "-c", create, connection], check=True)
        environment = {
            "AZURE_STORAGE_CONNECTION_STRING": connection,
            "MELTANO_STATE_BACKEND_AZURE_CONNECTION_STRING": connection,
        }
        yield Cloud(f"az://{BUCKET}", f"azure://{BUCKET}", environment)


CLOUDS = {"s3": s3, "gcs": gcs, "azure": azure}


@contextmanager
def _running(*command: str | Path, port: int) -> Iterator[str]:
    """Run a server until the end of the block."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    ) as process:
        try:
            while not _answers(url):
                assert process.poll() is None
                time.sleep(0.1)
            yield url
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=60)
    except requests.ConnectionError:
        return False
    return True
