"""pip's own view of this machine's indexes: its configuration files and `PIP_*` variables, in pip's order.

Source: pip documentation, "Configuration": global, user, site (the environment's own), `PIP_CONFIG_FILE`, variables;
later ones win, and within a file the command's section (`install`) wins over `global`.
"""

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from envcap.finding import Finding
from envcap.sources.tool_settings import MAX_CONFIG_SIZE, ToolSettings, parse_flag, parse_timeout, unreadable

_SECTIONS: Final = ("global", "install")
_KEYS: Final = frozenset(
    {
        "index-url", "extra-index-url", "find-links", "no-index", "cert", "client-cert", "proxy", "trusted-host",
        "timeout", "default-timeout",
    }
)  # fmt: skip


def read_pip_settings(
    environ: Mapping[str, str], home: Path, *, prefix: Path | None = None, root: Path = Path("/")
) -> ToolSettings:
    """Read what pip would use.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        prefix: The environment whose own `pip.conf` counts, if any.
        root: Where `/etc` lies.
    """
    findings: list[Finding] = []
    layers: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for path in _config_files(environ, home, prefix, root):
        for section, values in _read_file(path, findings).items():
            layers[section].update(values)
    merged = {**layers["global"], **layers["install"], **_variables(environ)}
    return ToolSettings(
        index_url=merged.get("index-url", "").strip(),
        extra_index_urls=tuple(merged.get("extra-index-url", "").split()),
        find_links=tuple(merged.get("find-links", "").split()),
        no_index=parse_flag(merged.get("no-index", "")),
        certificate=merged.get("cert", "").strip(),
        client_certificate=merged.get("client-cert", "").strip(),
        proxy=merged.get("proxy", "").strip(),
        trusted_hosts=tuple(merged.get("trusted-host", "").split()),
        timeout=parse_timeout(merged.get("timeout", merged.get("default-timeout", ""))),
        findings=tuple(findings),
    )


def _config_files(environ: Mapping[str, str], home: Path, prefix: Path | None, root: Path) -> Iterator[Path]:
    """List the files that may be there, weakest first."""
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == "/dev/null":  # pip: os.devnull switches all files off
        return
    folders = environ.get("XDG_CONFIG_DIRS", "") or "/etc/xdg"
    yield root / "Library/Application Support/pip/pip.conf"
    for folder in folders.split(":"):
        yield root / folder.lstrip("/") / "pip/pip.conf"
    yield root / "etc/pip.conf"
    if not (own and Path(own).exists()):
        yield home / ".pip/pip.conf"
        configuration = environ.get("XDG_CONFIG_HOME", "")
        yield (Path(configuration) if configuration else home / ".config") / "pip/pip.conf"
        yield home / "Library/Application Support/pip/pip.conf"
    if prefix is not None:
        yield prefix / "pip.conf"
    if own:
        yield Path(own)


def _read_file(path: Path, findings: list[Finding]) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_SIZE).decode()
        parser.read_string(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error):
        # The parser's message repeats the line, which may hold a password.
        findings.append(unreadable("pip", path.name))
        return {}
    return {
        section: {key: value for name, value in parser.items(section) if (key := _normal(name)) in _KEYS}
        for section in _SECTIONS
        if parser.has_section(section)
    }


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    pairs = ((_normal(name.removeprefix("PIP_")), value) for name, value in environ.items() if name.startswith("PIP_"))
    return {key: value for key, value in pairs if key in _KEYS and value}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
