"""The command `tap-kafinea`."""

from functools import partial

from singer_kafinea.importing import quick_imports

with quick_imports():
    from singer_kafinea import command
    from tap_kafinea.tap import TapKafinea


def main() -> None:
    """Run the tap."""
    invoke = partial(command.invoke, TapKafinea)
    command.run(invoke, TapKafinea.logger, final=command.CORRECT_FIRST)


if __name__ == "__main__":
    main()
