"""The file `.env`: its variables are added to the environment."""

from __future__ import annotations

from dotenv import find_dotenv, load_dotenv

from kafinea.errors import SettingsError


def load_env_file() -> None:
    """Set the variables of `.env`, in the working folder or above, that are not set.

    The SDK itself would look for the file above the folder where it is installed, which may be the
    folder of another instance, and prefer it to the environment.

    Raises:
        SettingsError: It is not text.
    """
    path = find_dotenv(usecwd=True)
    try:
        load_dotenv(path, override=False)
    except UnicodeError:
        raise SettingsError(f"{path} is not UTF-8 text. Correct it, or remove it.") from None
