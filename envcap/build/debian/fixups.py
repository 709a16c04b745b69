"""What maintainer scripts would have done, as pure functions of the merged tree (notes/images.md 3.2).

Each returns the entries that it adds: the same for the same packages, on every host and day. F6 (terminfo) is a matter
of which packages are locked, F9 (merged /usr) lies in `unpack` and `merge`, alternatives in `alternatives`.

The OpenSSL directory `/etc/ssl/certs` gets no hash links: every TLS library that Debian ships reads the one bundle, and
`SYSTEM_ENVIRONMENT` names it for those that come in wheels. `update-ca-certificates` makes them if it is run in the
image.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from envcap.build.debian.alternatives import alternative_links, parse_alternatives
from envcap.build.debian.ldcache import ld_so_cache
from envcap.build.debian.libraries import missing_links
from envcap.build.debian.merge import OWNER, directory, symlink
from envcap.build.debian.package import DebContents
from envcap.build.debian.tree import Tree, path_order
from envcap.entry import Entry, EntryKind, LiteralContent

CA_BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
CA_DIRECTORY: Final = "usr/share/ca-certificates"
NONROOT: Final = 65532
"""User and group of `nonroot`, the number that distroless images use."""

SYSTEM_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({"LANG": "C.UTF-8", "SSL_CERT_FILE": f"/{CA_BUNDLE}"})
"""Environment that images with these packages need: the one UTF-8 locale that libc-bin ships, and the CA bundle.

Set SSL_CERT_FILE only if the image holds the bundle: httpx refuses to start if the file is missing.
"""

_DIRECTORIES: Final = (
    # nvidia-container-toolkit writes a file into ld.so.conf.d and fails without the directory (its issue 1326).
    ("etc/ld.so.conf.d", 0o755, 0),
    ("home/nonroot", 0o700, NONROOT),
    ("root", 0o700, 0),
    ("run", 0o755, 0),
    ("tmp", 0o1777, 0),
    ("var/tmp", 0o1777, 0),
    # Mount points: a read-only root can't be given them by the runtime.
    *((path, 0o755, 0) for path in ("dev", "proc", "sys")),
)
_MINIMAL_ACCOUNTS: Final = {
    "passwd": b"root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": b"root:*:0:\nnogroup:*:65534:\n",
}
_NONROOT_LINES: Final = {
    "passwd": f"nonroot:*:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/bin/sh\n".encode(),
    "group": f"nonroot:*:{NONROOT}:\n".encode(),
}
_VERSIONED_PYTHON = re.compile(r"python3\.([0-9]+)\Z")


def accounts(tree: Tree) -> list[Entry]:
    """F1: `/etc/passwd` and `/etc/group` from base-passwd's masters, plus `nonroot`; root and nobody without them."""
    entries = []
    for name, line in _NONROOT_LINES.items():
        master = tree.read(f"usr/share/base-passwd/{name}.master") or _MINIMAL_ACCOUNTS[name]
        entries.append(_file(f"etc/{name}", _with_newline(master) + line))
    return entries


def certificates(tree: Tree) -> list[Entry]:
    """F2: the bundle of all shipped CA certificates, byte for byte that of `update-ca-certificates`, and its list.

    The list (`/etc/ca-certificates.conf`) lets the tool itself work in the image, for a lab's own CA say.
    """
    names = sorted(_certificate_names(tree), key=path_order)
    if not names:
        return []
    # `sed -e '$a\'` in update-ca-certificates adds the newline that some certificates lack (Debian bug 635570).
    bundle = b"".join(_with_newline(tree.read(f"{CA_DIRECTORY}/{name}") or b"") for name in names)
    listing = "# Written by envcap: all certificates of the package ca-certificates\n"
    listing += "".join(f"{name}\n" for name in names)
    return [_file(CA_BUNDLE, bundle), _file("etc/ca-certificates.conf", listing.encode())]


def library_cache(tree: Tree, *, architecture: str, libc_version: str) -> list[Entry]:
    """F3: SONAME links that are missing, and `/etc/ld.so.cache`.

    Call it with the tree of the whole image: an interpreter in /usr/local is only found through the cache.

    Raises:
        BuildError: The architecture or version isn't known.
    """
    cache = ld_so_cache(tree, architecture=architecture, libc_version=libc_version)
    return [*missing_links(tree, architecture=architecture), _file("etc/ld.so.cache", cache)]


def time_zone(tree: Tree) -> list[Entry]:
    """F4: `/etc/localtime` and `/etc/timezone` say UTC, if tzdata is there."""
    zone = "Etc/UTC"
    if tree.file(f"usr/share/zoneinfo/{zone}") is None:
        return []
    links = [symlink("etc/localtime", f"/usr/share/zoneinfo/{zone}")]
    return [*links, _file("etc/timezone", f"{zone}\n".encode())]


def name_service(tree: Tree) -> list[Entry]:
    """F5: `/etc/nsswitch.conf` as libc-bin would copy it."""
    master = tree.read("usr/share/libc-bin/nsswitch.conf")
    return [] if master is None else [_file("etc/nsswitch.conf", master)]


def interpreter_link(tree: Tree) -> list[Entry]:
    """F7: `/usr/bin/python3` for the highest packaged version, if python3-minimal, which brings it, isn't locked."""
    if "usr/bin/python3" in tree:
        return []
    minors = [int(found[1]) for name in tree.names.get("usr/bin", ()) if (found := _VERSIONED_PYTHON.match(name))]
    return [symlink("usr/bin/python3", f"python3.{max(minors)}")] if minors else []


def package_records(contents: Iterable[DebContents]) -> list[Entry]:
    """F8: `/var/lib/dpkg/status.d/PACKAGE` and `.md5sums`, where scanners (Trivy, Syft, Grype) look without dpkg."""
    entries = []
    for package in contents:
        path = f"var/lib/dpkg/status.d/{package.package}"
        entries.append(_file(path, _with_newline(package.control)))
        if package.md5sums:
            entries.append(_file(f"{path}.md5sums", package.md5sums))
    return entries


def standard_directories(tree: Tree) -> list[Entry]:
    """Directories that programs and container runtimes expect and that no locked package may bring."""
    return [directory(path, mode, owner=owner) for path, mode, owner in _DIRECTORIES if path not in tree]


def apply_fixups(tree: Tree, contents: Sequence[DebContents], *, architecture: str) -> tuple[list[Entry], list[str]]:
    """Run all fix-ups.

    Args:
        tree: The merged packages.
        contents: The packages.
        architecture: `amd64` or `arm64`.

    Returns:
        The entries that join the tree, and findings: what maintainer scripts would do that nothing here does.

    Raises:
        BuildError: A file that a fix-up reads is absurdly large, or libc6's version can't be read.
    """
    entries: list[Entry] = []
    for fixup in (accounts, certificates, time_zone, name_service, interpreter_link, standard_directories):
        entries += fixup(tree)
    entries += package_records(contents)
    parsed = [parse_alternatives(package) for package in contents]
    entries += alternative_links(tree, [one for alternatives, _ in parsed for one in alternatives])
    # Never replace a package's own file or an earlier fix-up's; the cache comes last, since it looks at the links.
    added = {entry.path: entry for entry in reversed(entries) if entry.path not in tree}
    entries = list(added.values())
    libc = next((package.version for package in contents if package.package == "libc6"), None)
    if libc is not None:
        entries += library_cache(tree.with_entries(entries), architecture=architecture, libc_version=libc)
    return entries, [finding for _, findings in parsed for finding in findings]


def _certificate_names(tree: Tree) -> list[str]:
    prefix = CA_DIRECTORY + "/"
    return [
        path.removeprefix(prefix)
        for path, entry in tree.entries.items()
        if path.startswith(prefix) and path.lower().endswith(".crt") and entry.kind is EntryKind.FILE
    ]


def _file(path: str, data: bytes) -> Entry:
    return Entry(path, EntryKind.FILE, 0o644, content=LiteralContent(data), owner=OWNER)


def _with_newline(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"
