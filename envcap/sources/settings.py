"""All indexes that this machine is set up for, from pip's and uv's settings together, each once and in one order.

Order: the default index or its replacements, indexes named on the command line, extra indexes (pip's, then uv's),
find-links pages, and last the folders of this machine: what others can reach too is the better origin for a lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from envcap.errors import UsageError
from envcap.finding import Finding
from envcap.secrets.urls import scrub_url
from envcap.sources.credentials import Credential, Credentials, join_credentials, read_netrc, split_userinfo
from envcap.sources.location import DEFAULT_NAME, IndexLocation, name_index
from envcap.sources.pip_settings import read_pip_settings
from envcap.sources.proxies import Proxies, read_proxies
from envcap.sources.tool_settings import ToolSettings
from envcap.sources.uv_settings import read_uv_settings

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds without a byte."""

LONGEST_TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """Where to look for files, and with which rights.

    Attributes:
        indexes: In the order in which they are asked.
        credentials: Each bound to its host.
        certificate: CA bundle or folder of certificates, or None for the system's and certifi's.
        client_certificate: PEM file with certificate and key, shown to the configured indexes only, or None.
        proxies: Proxies by scheme.
        trusted_hosts: `host` or `host:port` whose certificates aren't checked, by the user's wish.
        timeout: Seconds without a byte.
        findings: What of the configuration could not be read.
    """

    indexes: tuple[IndexLocation, ...] = ()
    credentials: Credentials = field(default_factory=Credentials)
    certificate: Path | None = None
    client_certificate: Path | None = None
    proxies: Proxies = field(default_factory=Proxies)
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    findings: tuple[Finding, ...] = ()


def find_index_settings(
    environ: Mapping[str, str],
    home: Path,
    cwd: Path,
    *,
    extra_indexes: Sequence[str] = (),
    prefix: Path | None = None,
    root: Path = Path("/"),
) -> IndexSettings:
    """Read this machine's index settings.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        cwd: The current folder: relative find-links and a project's `uv.toml` start there.
        extra_indexes: Indexes named on the command line.
        prefix: The environment whose own `pip.conf` counts, if any.
        root: Where `/etc` lies.

    Raises:
        UsageError: An index named on the command line is no URL or folder.
    """
    pip = read_pip_settings(environ, home, prefix=prefix, root=root)
    uv = read_uv_settings(environ, home, cwd, root=root)
    named = [_checked_url(url, home, cwd) for url in extra_indexes]
    rules: list[Credential | None] = []
    findings = [*pip.findings, *uv.findings]
    indexes = _locations(_rows(pip, uv, named), home, cwd, rules, findings)
    certificate = next((Path(path) for path in _certificates(pip, environ) if path), None)
    client = pip.client_certificate or environ.get("SSL_CLIENT_CERT", "")
    timeouts = [seconds for seconds in (pip.timeout, uv.timeout) if seconds]
    return IndexSettings(
        indexes=indexes,
        credentials=join_credentials([*uv.credentials, *rules], read_netrc(environ, home)),
        certificate=certificate,
        client_certificate=Path(client) if client else None,
        proxies=read_proxies(environ, configured=pip.proxy),
        trusted_hosts=tuple(dict.fromkeys([*pip.trusted_hosts, *uv.trusted_hosts])),
        timeout=min(max(timeouts), LONGEST_TIMEOUT) if timeouts else DEFAULT_TIMEOUT,
        findings=tuple(findings),
    )


def builtin_index_url() -> str:
    """Give the index that pip asks where nothing is configured, from pip's own constant."""
    from pip._internal.models.index import PyPI  # noqa: PLC0415 - takes 60 ms, and is needed by few commands

    return str(PyPI.simple_url)


def _certificates(pip: ToolSettings, environ: Mapping[str, str]) -> Iterable[str]:
    """List the CA bundles by strength: pip's own (its option or PIP_CERT), then what requests and OpenSSL read."""
    variables = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    return [pip.certificate, *(environ.get(name, "") for name in variables)]


def _rows(pip: ToolSettings, uv: ToolSettings, named: list[str]) -> list[tuple[str, str, bool]]:
    """List what is configured in the order of this module's docstring: text, kind, and whether it is the default."""
    tools = [tool for tool in (pip, uv) if not tool.no_index]
    defaults = [tool.index_url for tool in tools if tool.index_url]
    if not defaults and len(tools) == 2:  # noqa: PLR2004 - neither tool has switched the indexes off
        defaults = [builtin_index_url()]
    extras = [url for tool in tools for url in tool.extra_index_urls]
    return [
        *((url, "simple", True) for url in defaults),
        *((url, "simple", False) for url in (*named, *extras)),
        *((url, "find-links", False) for url in (*pip.find_links, *uv.find_links)),
    ]


def _locations(
    rows: list[tuple[str, str, bool]], home: Path, cwd: Path, rules: list[Credential | None], findings: list[Finding]
) -> tuple[IndexLocation, ...]:
    """List each place once, the local ones last; userinfo goes to the rules."""
    found: dict[str, IndexLocation] = {}
    for text, kind, is_default in rows:
        try:
            url, credential = split_userinfo(_as_url(text, home, cwd))
        except ValueError:
            findings.append(Finding(code="config-unreadable", message="A configured index is no URL; it is not asked"))
            continue
        rules.append(credential)
        url = url.rstrip("/") if kind == "simple" else url
        name = DEFAULT_NAME if is_default else name_index(url)
        found.setdefault(url, IndexLocation(name=name, url=url, kind=kind, is_default=is_default))
    return tuple(sorted(found.values(), key=lambda index: index.is_local and not index.is_default))


def _as_url(text: str, home: Path, cwd: Path) -> str:
    """Turn a folder or file into a `file:` URL; URLs stay."""
    if text.startswith(("http://", "https://", "file:")):
        return text
    return _as_path(text, home, cwd).as_uri()


def _as_path(text: str, home: Path, cwd: Path) -> Path:
    return (home / text[2:] if text.startswith("~/") else cwd / text).absolute()


def _checked_url(text: str, home: Path, cwd: Path) -> str:
    is_url = text.startswith(("http://", "https://", "file:"))
    # A folder that isn't there would be an index that has nothing, and be forgotten without a word.
    if not is_url and not (text and _as_path(text, home, cwd).is_dir()):
        raise UsageError(
            f"Unexpected index {scrub_url(text)!r} (expected an http or https URL, or a folder that is there)",
            hint="give the URL that pip takes as `--index-url`",
        )
    return _as_url(text, home, cwd)
