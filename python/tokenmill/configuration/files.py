"""The TOML file of settings: where it is, and what stands in it.

`--config FILE`, else TOKENMILL_CONFIG, else `tokenmill/config.toml` in the user's configuration
folder, if it is there. The working folder is not looked at: who starts tokenmill in a stranger's
folder does not want a stranger's settings.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenmill.configuration.problems import SettingsError
from tokenmill.configuration.sources import Resolved, Sources, resolve


def find_file(flag: str | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read; None if none was named and the usual one is not there."""
    named = flag or environment.get("TOKENMILL_CONFIG")
    if named:
        return Path(named)
    folder = environment.get("XDG_CONFIG_HOME") or _under_home(environment)
    usual = Path(folder) / "tokenmill" / "config.toml" if folder else None
    return usual if usual is not None and usual.is_file() else None


def read_file(path: Path) -> dict[str, Any]:
    """The document. Raises: SettingsError, naming the file and the place in it."""
    import tomllib  # only for those who have a file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not TOML: {error}"]) from error


def load(config: str | None, flags: Mapping[str, Any]) -> Resolved:
    """The settings in force now, from all sources. Raises: SettingsError."""
    path = find_file(config, os.environ)
    document = {} if path is None else read_file(path)
    return resolve(
        Sources(file=str(path or ""), document=document, environment=os.environ, flags=flags)
    )


def _under_home(environment: Mapping[str, str]) -> str:
    home = environment.get("HOME")
    return f"{home}/.config" if home else ""
