"""The command `target-kafinea`."""

import gc
from functools import partial

gc.disable()  # importing makes no garbage, and looking for some takes a third of the time

from singer_kafinea import command  # noqa: E402 after gc.disable, see above
from target_kafinea.target import TargetKafinea  # noqa: E402 as above

gc.freeze()
gc.enable()


def main() -> None:
    """Run the target."""
    invoke = partial(command.invoke, TargetKafinea)
    command.run(invoke, TargetKafinea.logger, final=command.CORRECT_FIRST)


if __name__ == "__main__":
    main()
