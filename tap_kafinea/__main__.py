"""The command `tap-kafinea`."""

import sys
from json import JSONDecodeError

from kafinea.errors import KafineaError
from tap_kafinea.tap import TapKafinea


def main() -> None:
    """Run the tap; what goes wrong is said in one line, and the exit code is 1."""
    try:
        TapKafinea.cli()
    except (KafineaError, FileNotFoundError, JSONDecodeError) as error:
        TapKafinea.logger.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
