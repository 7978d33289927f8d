"""The command `target-kafinea`."""

from singer_kafinea import command
from target_kafinea.target import TargetKafinea


def main() -> None:
    """Run the target."""
    command.run(TargetKafinea.cli, TargetKafinea.logger)


if __name__ == "__main__":
    main()
