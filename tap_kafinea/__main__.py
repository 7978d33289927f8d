"""The command `tap-kafinea`."""

import gc
from functools import partial

gc.disable()  # importing makes no garbage, and looking for some takes a third of the time

from singer_kafinea import command  # noqa: E402 after gc.disable, see above
from tap_kafinea.tap import TapKafinea  # noqa: E402 as above

gc.freeze()
gc.enable()


def main() -> None:
    """Run the tap."""
    invoke = partial(command.invoke, TapKafinea)
    command.run(invoke, TapKafinea.logger, final=command.CORRECT_FIRST)


if __name__ == "__main__":
    main()
