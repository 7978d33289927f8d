"""The command `tap-kafinea`."""

import sys

from simplejson import JSONDecodeError  # type: ignore[import-untyped]  # what the SDK reads with

from kafinea.errors import KafineaError
from tap_kafinea.tap import TapKafinea


def main() -> None:
    """Run the tap; what goes wrong is said in one line, and the exit code is 1."""
    try:
        TapKafinea.cli()
    except JSONDecodeError as error:
        problem = f"The config, catalog or state is not JSON: {error}"
    except (KafineaError, FileNotFoundError) as error:
        problem = str(error)
    else:
        return
    TapKafinea.logger.error("%s", problem)
    sys.exit(1)


if __name__ == "__main__":
    main()
