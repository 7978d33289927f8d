"""The command `tap-kafinea`."""

from singer_kafinea import command
from tap_kafinea.tap import TapKafinea


def main() -> None:
    """Run the tap."""
    command.run(TapKafinea.cli, TapKafinea.logger)


if __name__ == "__main__":
    main()
