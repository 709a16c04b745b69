"""R packages that conda did not install: `install.packages` puts them beside conda's, and no record knows of them.

Their files are captured as everybody's are; here they are named, for where they came from is not locked.
Source: "Writing R Extensions" §1.1.1 (the DESCRIPTION file, names and versions).
"""

import re
from collections.abc import Iterator

from envcap.environment import Environment, InstalledFile
from envcap.few import few
from envcap.finding import Finding

_DESCRIPTION = re.compile(r"lib/R/library/(?P<name>[A-Za-z][A-Za-z0-9.]{0,99})/DESCRIPTION\Z")
_FIELD = re.compile(rb"^Version:[ \t]*([0-9]{1,9}(?:[.-][0-9]{1,9}){1,9})[ \t]*\r?$", re.MULTILINE)
_LARGEST = 64 << 10
_NAMED = 12


def r_package_findings(environment: Environment) -> tuple[Finding, ...]:
    """Name the R packages among the files that nobody owns, with their versions."""
    names = sorted(_packages(environment))
    if not names:
        return ()
    message = (
        f"R packages not of conda: {few(names, _NAMED)} (nothing says where they came from: the image "
        "gets their files as they are)"
    )
    return (Finding(code="r-packages-unowned", message=message),)


def _packages(environment: Environment) -> Iterator[str]:
    for file in environment.unowned:
        match = _DESCRIPTION.match(file.path)
        if match and not file.target:
            yield f"{match['name']} {_version(environment, file)}".rstrip()


def _version(environment: Environment, file: InstalledFile) -> str:
    """Read the version; empty where DESCRIPTION has none."""
    try:
        with file.location(environment.prefix).open("rb") as stream:
            match = _FIELD.search(stream.read(_LARGEST))
    except OSError:
        return ""
    return match[1].decode() if match else ""
