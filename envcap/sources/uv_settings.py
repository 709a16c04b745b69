"""uv's own view of this machine: `uv.toml` files and `UV_*` variables, for its indexes and its cache.

Source: uv documentation, "Configuration files", "Package indexes" and "Environment variables": system, user and project
files, then variables; lists of a stronger file come first. The user's choice in a project's `pyproject.toml` is left
out: it speaks of that project, not of this machine.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envcap.finding import Finding
from envcap.sources.credentials import Credential, split_userinfo
from envcap.sources.tool_settings import MAX_CONFIG_SIZE, ToolSettings, parse_flag, parse_timeout, unreadable


@dataclass(slots=True)
class _Found:
    """What was met so far, strongest first."""

    index_url: str = ""
    extra: list[str] = field(default_factory=list)
    explicit: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    no_index: bool = False
    named: dict[str, str] = field(default_factory=dict)


def read_uv_settings(environ: Mapping[str, str], home: Path, cwd: Path, *, root: Path = Path("/")) -> ToolSettings:
    """Read what uv would use.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        cwd: The folder whose own `uv.toml` counts.
        root: Where `/etc` lies.
    """
    findings: list[Finding] = []
    found = _Found()
    _take_variables(environ, found)
    for path in _config_files(environ, home, cwd, root):
        table = _read_file(path, findings)
        _take_table(table, found)
        _take_table(_table(table.get("pip")), found)
    return ToolSettings(
        index_url=found.index_url,
        extra_index_urls=tuple(dict.fromkeys([*found.extra, *found.explicit])),
        find_links=tuple(dict.fromkeys(found.find_links)),
        no_index=found.no_index,
        trusted_hosts=tuple(found.hosts),
        timeout=parse_timeout(environ.get("UV_HTTP_TIMEOUT", "")),
        credentials=tuple(_named_credentials(environ, found.named)),
        findings=tuple(findings),
    )


def uv_cache_folder(environ: Mapping[str, str], home: Path, cwd: Path, *, root: Path = Path("/")) -> Path:
    """Tell where uv keeps what it installs from: `UV_CACHE_DIR`, `cache-dir`, or its folder in the user's cache.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        cwd: The folder whose own `uv.toml` counts.
        root: Where `/etc` lies.
    """
    named = environ.get("UV_CACHE_DIR", "")
    for path in () if named else _config_files(environ, home, cwd, root):
        named = named or _text(_read_file(path, []).get("cache-dir"))
    if named:
        return cwd / named
    cache = environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache.startswith("/") else home / ".cache") / "uv"


def _take_variables(environ: Mapping[str, str], found: _Found) -> None:
    for entry in environ.get("UV_INDEX", "").split():
        found.extra.append(_strip_name(entry, found.named))
    found.extra += environ.get("UV_EXTRA_INDEX_URL", "").split()
    default = environ.get("UV_DEFAULT_INDEX", "").strip() or environ.get("UV_INDEX_URL", "").strip()
    found.index_url = _strip_name(default, found.named)
    found.find_links += [part for part in re.split(r"[,\s]+", environ.get("UV_FIND_LINKS", "")) if part]
    found.hosts += environ.get("UV_INSECURE_HOST", "").split()
    found.no_index = parse_flag(environ.get("UV_NO_INDEX", ""))


def _strip_name(entry: str, named: dict[str, str]) -> str:
    """Take `name=` off a URL and remember it for `UV_INDEX_<NAME>_USERNAME`."""
    match = re.match(r"([A-Za-z0-9._-]+)=(.*)\Z", entry)
    if match is None:
        return entry
    named.setdefault(match[1], match[2])
    return match[2]


def _config_files(environ: Mapping[str, str], home: Path, cwd: Path, root: Path) -> Iterator[Path]:
    """List the files that may be there, strongest first; the first system file that exists hides the others."""
    if parse_flag(environ.get("UV_NO_CONFIG", "")):
        return
    own = environ.get("UV_CONFIG_FILE", "")
    if own:
        yield Path(own)
        return
    project = next((path for folder in (cwd, *cwd.parents) if (path := folder / "uv.toml").is_file()), None)
    if project is not None:
        yield project
    configuration = environ.get("XDG_CONFIG_HOME", "")
    yield (Path(configuration) if configuration else home / ".config") / "uv/uv.toml"
    folders = environ.get("XDG_CONFIG_DIRS", "") or "/etc/xdg"
    system = [root / folder.lstrip("/") / "uv/uv.toml" for folder in folders.split(":")]
    yield next((path for path in system if path.is_file()), root / "etc/uv/uv.toml")


def _read_file(path: Path, findings: list[Finding]) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            return tomllib.loads(file.read(MAX_CONFIG_SIZE).decode())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        findings.append(unreadable("uv", path.name))
        return {}


def _take_table(table: dict[str, object], found: _Found) -> None:
    rows = table.get("index")
    for row in rows if isinstance(rows, list) else ():
        _take_index(_table(row), found)
    if not found.index_url:
        found.index_url = _text(table.get("index-url"))
    found.extra += _texts(table.get("extra-index-url"))
    found.find_links += _texts(table.get("find-links"))
    found.hosts += _texts(table.get("allow-insecure-host"))
    found.no_index = found.no_index or table.get("no-index") is True


def _take_index(row: dict[str, object], found: _Found) -> None:
    url, name = _text(row.get("url")), _text(row.get("name"))
    if not url:
        return
    if name:
        found.named.setdefault(name, url)
    if row.get("format") == "flat":
        found.find_links.append(url)
    elif row.get("default") is True:
        found.index_url = found.index_url or url
    elif row.get("explicit") is True:
        found.explicit.append(url)
    else:
        found.extra.append(url)


def _named_credentials(environ: Mapping[str, str], named: Mapping[str, str]) -> Iterator[Credential]:
    for name, url in named.items():
        variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        user, password = environ.get(f"{variable}_USERNAME", ""), environ.get(f"{variable}_PASSWORD", "")
        if user or password:
            yield Credential(url=split_userinfo(url)[0], user=user, password=password)


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [text for item in value if (text := _text(item))] if isinstance(value, list) else []
