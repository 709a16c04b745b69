"""R packages that conda did not install, by their DESCRIPTION files."""

from pathlib import Path

import pytest

from envcap.environment import Environment, InstalledFile, no_interpreter
from envcap.lock.r_packages import r_package_findings

LIBRARY = "lib/R/library"


def messages(prefix: Path, files: dict[str, bytes], *, target: str = "") -> list[str]:
    for path, data in files.items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_bytes(data)
    unowned = tuple(
        InstalledFile(path=path, mode=0o644, size=len(files[path]), sha256="a" * 64, target=target) for path in files
    )
    environment = Environment(
        prefix=prefix, kind="conda", interpreter=no_interpreter(prefix), site_packages="", unowned=unowned
    )
    return [finding.message.partition(" (")[0] for finding in r_package_findings(environment)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"Package: x\nVersion: 1.2-3\n", "x 1.2-3"),
        (b"Version: 0.10.0\r\nPackage: x\r\n", "x 0.10.0"),
        (b"Title: a\n  Version: 9.9\nVersion: 1.0\n", "x 1.0"),
        (b"", "x"),
        (b"Version: \x1b[31mred\n", "x"),
        (b"Version: 1.0; rm -rf\n", "x"),
        (b"\xff\xfe" * 100_000 + b"\nVersion: 1.0\n", "x"),
    ],
    ids=["plain", "CRLF", "continued", "empty", "escape", "words", "huge"],
)
def test_a_package_is_named_by_its_folder_and_its_version(tmp_path: Path, text: bytes, said: str) -> None:
    assert messages(tmp_path, {f"{LIBRARY}/x/DESCRIPTION": text}) == [f"R packages not of conda: {said}"]


def test_many_are_counted(tmp_path: Path) -> None:
    files = {f"{LIBRARY}/p{number:02}/DESCRIPTION": b"" for number in range(15)}

    (message,) = messages(tmp_path, files)

    assert message.endswith("p10, p11 and 3 more")


@pytest.mark.parametrize(
    "path", [f"{LIBRARY}/x/R/DESCRIPTION", "share/x/DESCRIPTION", f"{LIBRARY}/x\x1b/DESCRIPTION", f"{LIBRARY}/x/NEWS"]
)
def test_what_is_no_package_is_not_named(tmp_path: Path, path: str) -> None:
    assert messages(tmp_path, {path: b"Version: 1.0\n"}) == []


def test_a_link_is_not_read(tmp_path: Path) -> None:
    assert messages(tmp_path, {f"{LIBRARY}/x/DESCRIPTION": b"Version: 1.0\n"}, target="/etc/passwd") == []
