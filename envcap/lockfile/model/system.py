"""Packages of the operating system: `[[system]]`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackage:
    """One OS package (Debian).

    Attributes:
        name: Binary package name.
        version: Debian version.
        architecture: `amd64`, `arm64` or `all`.
        platform: The platform that it serves.
        source: Name of a `[[sources]]` row of kind `debian`.
        file: Pool path.
        size: Bytes.
        sha256: Hash of the .deb.
        because: Reasons, sorted: `libGL.so.1 needed by cv2/cv2.abi3.so`, `dependency of libc6`, `base`.
    """

    name: str
    version: str
    architecture: str
    platform: str
    source: str
    file: str
    size: int
    sha256: str
    because: tuple[str, ...]
