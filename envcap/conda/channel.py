"""What a lock calls a channel: its name below whatever host serves it, so that a mirror serves as well.

Source: CEP 26 (channel names), conda's `models/channel.py` (`/t/TOKEN/` in URLs).
"""

import re
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

CHANNEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]|/(?=[A-Za-z0-9])){0,126}\Z")
SUBDIR = re.compile(r"[a-z0-9]{1,20}(?:-[a-z0-9_]{1,20})?\Z")
SUBDIRS = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64"}
"""What conda calls the platforms that an image can have."""

FILE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.!+-]{0,250}(?:\.conda|\.tar\.bz2)\Z")

_TOKEN = re.compile(r"/t/[^/]*(?=/|\Z)")


def split_url(url: str) -> SplitResult:
    """Split a URL; one that is none has no parts."""
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        return urlsplit("")


def channel_url(url: str) -> str:
    """Scrub a channel's URL of user, password, token and query, and of a package's file and folder at its end.

    Empty for a web address without a host: others might look for one, and for a user, in what is a path here.
    """
    parts = split_url(url)
    if parts.scheme in {"http", "https"} and not parts.hostname:
        return ""
    path = _TOKEN.sub("", parts.path).rstrip("/")
    if FILE.match(unquote(path.rpartition("/")[2])):
        path = path.rpartition("/")[0].rpartition("/")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def channel_name(channel: str) -> str:
    """Name a channel by its scrubbed URL, its path or its name: `conda-forge`, `pkgs/main`, `nvidia/label/cuda-12.1`.

    A channel on this machine has the name of its folder: where that lies is nobody's business.
    """
    scheme = channel.partition("://")[0] if "://" in channel else ""
    path = unquote(split_url(channel).path) if scheme else channel
    if scheme == "file" or channel.startswith(("/", ".", "~")):
        path = path.rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^A-Za-z0-9._/-]+", "-", path.strip("/"))
    name = re.sub(r"/[^A-Za-z0-9]*", "/", name).strip("/.-_")[:120].rstrip("/")
    if not name and scheme:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", split_url(channel).hostname or "").strip("-.")
    return name if CHANNEL_NAME.match(name) else "channel"


def archive_stem(file: str) -> str:
    """Give the name of the folder that an archive is unpacked into."""
    return file.removesuffix(".conda").removesuffix(".tar.bz2")


def source_name(channel: str) -> str:
    """Name the row of `[[sources]]` of a channel: no slash, and never the name of another kind of source."""
    name = channel.replace("/", "-")
    return f"conda-{name}" if name in {"pypi", "debian", "captured", "local", "python-build-standalone"} else name


def hint_of(url: str) -> str:
    """Give what a lock may keep of a channel's URL: scrubbed, and only where others can ask it too."""
    return channel_url(url) if url.startswith("https://") else ""
