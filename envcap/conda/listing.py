"""Telling apart the files that other tools lock conda environments in, and reading `@EXPLICIT` and `conda-lock.yml`.

Source: conda/ceps#79 (text spec input files), conda-lock 4.0 `lockfile/v1/models.py`. Files in the wild lack `optional`
and hold virtual packages (notes/capture.md §3), so that only what is needed is looked at.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from envcap.conda.environment_file import read_environment_file
from envcap.conda.listed import (
    HINT,
    MD5,
    ExactEnvironment,
    ListedWheel,
    Listing,
    check_listing,
    listed_package,
    shown,
    sorted_packages,
    sorted_wheels,
    text_of,
)
from envcap.conda.pixi_lock import read_pixi_lock
from envcap.conda.yaml_document import parse_yaml
from envcap.digest import is_sha256
from envcap.errors import LockfileError

_PIP = re.compile(r"#\s*pip\s+(?P<name>[A-Za-z0-9._-]+)\s*@\s*(?P<url>\S+?)(?:#sha256=(?P<sha256>[0-9a-f]{64}))?\s*\Z")


def read_listing(
    text: str, *, name: str, subdir: str, environment: str = "", without: Collection[str] = ()
) -> Listing | ExactEnvironment:
    """Read a file.

    Args:
        text: What it holds.
        name: Its name, for messages.
        subdir: The platform that is wanted, such as `linux-64`.
        environment: Which one of a `pixi.lock`; empty for its default.
        without: What a `pixi.lock` builds from folders or sources, and shall be left out.

    Raises:
        LockfileError: It is in no format that is known, damaged, or for another platform.
    """
    lines = [line.strip() for line in text.splitlines()]
    if "@EXPLICIT" in lines:
        found: Listing | ExactEnvironment = check_listing(_explicit(lines, name), name=name, subdir=subdir)
        kind = "an `@EXPLICIT` list"
    else:
        document = parse_yaml(text, name=name)
        table = document if isinstance(document, Mapping) else {}
        match table:
            case {"environments": Mapping()} | {"version": "4" | "5" | "6" | "7"}:
                listing = read_pixi_lock(table, name=name, subdir=subdir, environment=environment, without=without)
                return check_listing(listing, name=name, subdir=subdir)
            case {"dependencies": list()}:
                found, kind = read_environment_file(table, name=name), "an `environment.yml`"
            case {"package": list(), "version": "1"}:
                listing = _conda_lock(table, name, subdir)
                found, kind = check_listing(listing, name=name, subdir=subdir), "a `conda-lock.yml`"
            case {"package": list(), "version": str(version)}:
                raise LockfileError(
                    f"{name} is a `conda-lock.yml` of version {version[:20]!r} (expected version 1)", hint=HINT
                )
            case _:
                raise LockfileError(f"{name} is in no format that is known", hint=HINT)
    if environment:
        raise LockfileError(f"{name} is {kind}, which has one environment (expected a `pixi.lock` for {environment!r})")
    return found


def _explicit(lines: Iterable[str], name: str) -> Listing:
    packages, pip = [], []
    for line in lines:
        if match := _PIP.match(line):
            pip.append(ListedWheel(name=match["name"], url=match["url"], sha256=match["sha256"] or ""))
        elif line and line != "@EXPLICIT" and not line.startswith("#"):
            url, _, found = line.partition("#")
            found = found.removeprefix("sha256:")
            if found and not MD5.match(found) and not is_sha256(found):
                raise LockfileError(f"{name}: {shown(line)} ends with no hash (expected MD5 or sha256)", hint=HINT)
            md5, sha256 = (found, "") if MD5.match(found) else ("", found)
            packages.append(listed_package(url, md5=md5, sha256=sha256, name=name))
    return Listing(packages=sorted_packages(packages), pip=sorted_wheels(pip))


def _conda_lock(document: Mapping[object, object], name: str, subdir: str) -> Listing:
    rows = document.get("package")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise LockfileError(f"{name} has something else than packages in `package`", hint=HINT)
    wanted = [row for row in rows if row.get("platform") == subdir and not text_of(row, "name").startswith("__")]
    if not wanted:
        covered = sorted({text_of(row, "platform") for row in rows})
        raise LockfileError(
            f"{name} covers {', '.join(covered) or 'no platform'} (expected {subdir})",
            hint=f"have its tool lock {subdir} too",
        )
    main = [row for row in wanted if row.get("category", "main") == "main"]
    conda = [row for row in main if row.get("manager") == "conda"]
    packages = [
        listed_package(text_of(row, "url"), md5=_hash(row, "md5"), sha256=_hash(row, "sha256"), name=name)
        for row in conda
    ]
    pip = [_wheel(row) for row in main if row.get("manager") != "conda"]
    left_out = {text_of(row, "name") for row in wanted} - {text_of(row, "name") for row in main}
    return Listing(packages=sorted_packages(packages), pip=sorted_wheels(pip), left_out=tuple(sorted(left_out)))


def _wheel(row: Mapping[object, object]) -> ListedWheel:
    url, _, fragment = text_of(row, "url").partition("#")
    return ListedWheel(
        name=text_of(row, "name"), url=url, sha256=_hash(row, "sha256") or fragment.removeprefix("sha256=")
    )


def _hash(row: Mapping[object, object], key: str) -> str:
    table = row.get("hash")
    return text_of(table, key) if isinstance(table, Mapping) else ""
