"""The part of pip in the formats of conda: what lies on top of the conda packages, with addresses and hashes.

Source: conda-lock, `render_lockfile_for_platform` (`# pip NAME @ URL#sha256=HASH`, which micromamba reads too).
"""

from dataclasses import dataclass

from envcap.errors import SourceError
from envcap.export.conda import is_plain
from envcap.export.pylock import Locate, clean_url
from envcap.export.selection import REDACTIONS, Pin, left_out, select_pins
from envcap.finding import Finding
from envcap.lockfile.model import Lockfile
from envcap.secrets.urls import scrub_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """A package of pip with the address of its file."""

    pin: Pin
    url: str


def address_pins(
    lockfile: Lockfile, platform: str, locate: Locate
) -> tuple[tuple[Addressed, ...], tuple[Finding, ...]]:
    """Give the packages of pip that have an address, and say which have none.

    Raises:
        BuildError: The lock doesn't cover the platform.
    """
    pins, found = select_pins(lockfile, platform)
    findings = list(found)
    addressed: list[Addressed] = []
    for pin in pins:
        if pin.is_captured:
            findings.append(left_out(pin.package, "it is captured, and the format takes addresses only"))
            continue
        try:
            url = scrub_url(pin.artifact.url) if pin.is_direct else clean_url(locate(pin.artifact))
        except SourceError as error:
            findings.append(left_out(pin.package, error.message))
            continue
        if not is_plain(url):
            findings.append(left_out(pin.package, "its URL has characters that installers read as something else"))
            continue
        addressed.append(Addressed(pin=pin, url=url))
        if not pin.is_direct and any(mark in url for mark in REDACTIONS):
            message = f"The index has {pin.name} at a URL that holds a secret: put it back before installing"
            findings.append(Finding(code="export-secret", message=message))
    return tuple(addressed), tuple(findings)
