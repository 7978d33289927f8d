"""The command `target-kafinea`."""

from functools import partial

from singer_kafinea.importing import quick_imports

with quick_imports():
    from singer_kafinea import command
    from target_kafinea.target import TargetKafinea


def main() -> None:
    """Run the target."""
    invoke = partial(command.invoke, TargetKafinea)
    command.run(invoke, TargetKafinea.logger, final=command.CORRECT_FIRST)


if __name__ == "__main__":
    main()
