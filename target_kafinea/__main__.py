"""The command `target-kafinea`."""

from singer_sdk.exceptions import RecordsWithoutSchemaException

from kafinea import SettingsError
from singer_kafinea import command
from target_kafinea.target import TargetKafinea


def main() -> None:
    """Run the target."""
    command.run(_run, TargetKafinea.logger)


def _run() -> None:
    try:
        TargetKafinea.cli()
    except RecordsWithoutSchemaException as error:
        raise SettingsError(str(error)) from None


if __name__ == "__main__":
    main()
