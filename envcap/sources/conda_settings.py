"""conda's own view of this machine's channels: `.condarc` files, `CONDA_*` variables, and where packages are cached.

Source: conda documentation, "Configuration" (search order, `channel_alias`, `custom_channels`, `pkgs_dirs`, variables
in values) and CEP 26 (channel names); mamba's `mirrored_channels`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from envcap.conda.channel import channel_name, channel_url
from envcap.finding import Finding
from envcap.sources.credentials import Credential, split_userinfo
from envcap.sources.tool_settings import MAX_CONFIG_SIZE, unreadable

_VARIABLE: Final = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")
_URL: Final = re.compile(r"(?:https?|file)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSettings:
    """Where to look for conda packages.

    Attributes:
        alias: What channel names are relative to, without userinfo; empty where nobody configured it. May hold a token.
        channels: URLs by channel name, in the order in which they are asked. They may hold tokens.
        caches: Folders with downloaded packages.
        credentials: From userinfo in URLs.
        findings: What could not be read.
    """

    alias: str = field(default="", repr=False)
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    caches: tuple[Path, ...] = ()
    credentials: tuple[Credential, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """All servers that are named."""
        return tuple(url for url in (self.alias, *(url for urls in self.channels.values() for url in urls)) if url)


@dataclass(slots=True)
class _Gathered:
    """What the files and variables said so far, strongest last."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    alias: str = ""
    channels: dict[str, list[str]] = field(default_factory=dict)
    caches: list[Path] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def expanded(self, text: str) -> str:
        """Replace variables, as conda does in the values of URLs."""
        return _VARIABLE.sub(lambda found: self.environ.get(found["braced"] or found["plain"], found[0]), text).strip()

    def url(self, text: str) -> str:
        """Take userinfo out of a URL, and turn a path into one; empty for a mere name."""
        text = self.expanded(text)
        if text.startswith(("/", "./", "../", "~")):
            path = Path(text.replace("~", str(self.home), 1) if text.startswith("~") else text)
            return (self.cwd / path).resolve().as_uri()
        if not _URL.match(text):
            return ""
        try:
            bare, credential = split_userinfo(text)
        except ValueError:
            # What is wrong about it may be a password with a bracket: not a word of it is repeated.
            message = "A URL of conda's configuration is none: it is left out"
            self.findings.append(Finding(code="config-unreadable", message=message))
            return ""
        if credential is not None:
            self.credentials.append(credential)
        return bare.rstrip("/")

    def add_channels(self, values: Iterable[str]) -> None:
        """Take channels of a list: those with a place of their own are known by the name that it ends with."""
        for value in values:
            if url := self.url(value):
                self.add(channel_name(channel_url(url)), [url])

    def add(self, name: str, urls: Iterable[str]) -> None:
        """Add places of a channel."""
        known = self.channels.setdefault(name, [])
        known += [url for url in urls if url not in known]


def find_conda_settings(
    environ: Mapping[str, str], home: Path, cwd: Path, *, prefix: Path | None = None, root: Path = Path("/")
) -> CondaSettings:
    """Read this machine's conda settings.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        cwd: The current folder, for relative channels.
        prefix: The environment whose own `.condarc` and package cache count, if any.
        root: Where `/etc` lies.
    """
    found = _Gathered(environ=environ, home=home, cwd=cwd)
    for path in _config_files(environ, home, prefix, root):
        _read_file(path, found)
    found.alias = found.url(environ.get("CONDA_CHANNEL_ALIAS", "")) or found.alias
    found.add_channels(filter(None, map(str.strip, environ.get("CONDA_CHANNELS", "").split(","))))
    return CondaSettings(
        alias=found.alias,
        channels={name: tuple(urls) for name, urls in found.channels.items()},
        caches=tuple(dict.fromkeys([*_caches(environ, home, prefix), *found.caches])),
        credentials=tuple(found.credentials),
        findings=tuple(found.findings),
    )


def builtin_alias() -> str:
    """Give what names are relative to where nothing is configured: py-rattler's own constant, if it is installed."""
    try:
        from rattler import Channel  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        return ""
    return str(Channel("envcap").base_url).rstrip("/").removesuffix("/envcap")


def _config_files(environ: Mapping[str, str], home: Path, prefix: Path | None, root: Path) -> Iterator[Path]:
    """List the files that may be there, weakest first."""
    yield from (root / "etc/conda/.condarc", root / "etc/conda/condarc", root / "var/lib/conda/.condarc")
    for variable in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX"):
        if environ.get(variable):
            yield Path(environ[variable]) / ".condarc"
    configuration = environ.get("XDG_CONFIG_HOME", "")
    yield (Path(configuration) if configuration else home / ".config") / "conda/.condarc"
    yield from (home / ".conda/.condarc", home / ".condarc", home / ".mambarc")
    if prefix is not None:
        yield prefix / ".condarc"
    for variable in ("CONDARC", "MAMBARC"):
        if environ.get(variable):
            yield Path(environ[variable])


def _read_file(path: Path, found: _Gathered) -> None:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_SIZE).decode()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, UnicodeDecodeError):
        found.findings.append(unreadable("conda", path.name))
        return
    import yaml  # noqa: PLC0415 - slow to load, and few machines have such a file

    try:
        table = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        # The parser's message repeats the line, which may hold a token.
        found.findings.append(unreadable("conda", path.name))
        return
    if isinstance(table, dict):
        _take(table, found)


def _take(table: Mapping[object, object], found: _Gathered) -> None:
    alias = table.get("channel_alias")
    found.alias = (found.url(alias) if isinstance(alias, str) else "") or found.alias
    for key in ("channels", "default_channels"):
        found.add_channels(_texts(table.get(key)))
    for name, base in _pairs(table.get("custom_channels")):
        # conda: the channel lies below the URL that is given for its name.
        found.add(name, [f"{url}/{name}" for text in _texts(base) if (url := found.url(text))])
    for name, urls in (*_pairs(table.get("mirrored_channels")), *_pairs(table.get("custom_multichannels"))):
        found.add(name, [url for text in _texts(urls) if (url := found.url(text))])
        found.add_channels(_texts(urls))
    for text in _texts(table.get("pkgs_dirs")):
        found.caches.append(Path(found.expanded(text).replace("~", str(found.home), 1)))


def _caches(environ: Mapping[str, str], home: Path, prefix: Path | None) -> Iterator[Path]:
    yield from (Path(text) for text in re.split(r"[,:]", environ.get("CONDA_PKGS_DIRS", "")) if text)
    if environ.get("CONDA_EXE"):
        yield Path(environ["CONDA_EXE"]).parent.parent / "pkgs"
    for variable in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX"):
        if environ.get(variable):
            yield Path(environ[variable]) / "pkgs"
    if prefix is not None:
        yield prefix / "pkgs"
        if prefix.parent.name == "envs":
            yield prefix.parent.parent / "pkgs"
    yield home / ".conda/pkgs"
    yield from (home / name / "pkgs" for name in ("miniforge3", "miniconda3", "mambaforge", "anaconda3", "micromamba"))


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(row for row in value if isinstance(row, str)) if isinstance(value, list) else ()


def _pairs(value: object) -> tuple[tuple[str, object], ...]:
    return tuple((key, row) for key, row in value.items() if isinstance(key, str)) if isinstance(value, dict) else ()
