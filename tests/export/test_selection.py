"""What of a lock installers can be told about, and what is said of the rest."""

from dataclasses import replace

import pytest

from envcap.errors import BuildError
from envcap.export.selection import select_pins
from envcap.lockfile.model import Package, Patch
from tests.export.wheels import fake, lock_of


def findings(*packages: Package) -> list[tuple[str, str]]:
    return [(row.code, row.message) for row in select_pins(lock_of(*packages), "linux/amd64")[1]]


def test_a_plain_package_is_selected_without_a_word() -> None:
    pins, found = select_pins(lock_of(fake("torch", "2.1.0+cu118")), "linux/amd64")
    assert [(pin.name, str(pin.version), pin.is_wheel, pin.is_captured) for pin in pins] == [
        ("torch", "2.1.0+cu118", True, False)
    ]
    assert found == ()


def test_pins_are_sorted_by_name() -> None:
    lockfile = lock_of(fake("b", "1"), fake("a-b", "1"), fake("a", "1"))
    assert [pin.name for pin in select_pins(lockfile, "linux/amd64")[0]] == ["a", "a-b", "b"]


def test_a_source_archive_is_selected_as_such() -> None:
    pins, found = select_pins(lock_of(fake("a", "1.0", file="a-1.0.tar.gz")), "linux/amd64")
    assert [pin.is_wheel for pin in pins] == [False]
    assert found == ()


def test_a_platform_that_the_lock_does_not_cover_is_refused() -> None:
    with pytest.raises(BuildError, match="a 1: the lock has no artifact for linux/arm64"):
        select_pins(lock_of(fake("a", "1")), "linux/arm64")


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (fake("a", "2004d-x"), "its version is not one of PEP 440"),
        (fake("a", "1.0", file="a-1.0.tree.zip", source="captured"), "its artifact is no wheel that installers accept"),
        (fake("a", "1.0", file="a-1.0.egg"), "its artifact is no wheel that installers accept"),
        (
            fake("a", "1.0", file="b-1.0-py3-none-any.whl"),
            "the name of its artifact ('b-1.0-py3-none-any.whl') is not of this package and version",
        ),
        (
            fake("a", "1.0", file="a-1.1-py3-none-any.whl"),
            "the name of its artifact ('a-1.1-py3-none-any.whl') is not of this package and version",
        ),
        (
            fake("a", "1.0", file="a-1.0-py3-none-any b.whl"),
            "the name of its artifact ('a-1.0-py3-none-any b.whl') is not of this package and version",
        ),
        (
            fake("a", "1.0", file="a-1.0-py3-none-${HOME}.whl"),
            "the name of its artifact ('a-1.0-py3-none-${HOME}.whl') is not of this package and version",
        ),
        (
            fake("a", "1.0", file="a-1.0-py3-none-any#x.whl"),
            "the name of its artifact ('a-1.0-py3-none-any#x.whl') is not of this package and version",
        ),
        *(
            (
                fake("a", "1.0", origin="url", url=f"https://example.org/{path}"),
                "its URL has characters that installers read as something else",
            )
            for path in ("a.whl --index-url=x", "a.whl#sha256=0", "${HOME}/a.whl", "a.whl;python_version<'3'", "a\\")
        ),
        (
            fake("a", "1.0", origin="url", url="file:///etc/passwd"),
            "its URL has characters that installers read as something else",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.artifacts[0].file} {value.artifacts[0].url}",
)
def test_what_installers_would_misread_is_left_out_and_named(package: Package, reason: str) -> None:
    message = f"a {package.version} is not in the export: {reason}"
    assert findings(package) == [("export-left-out", message)]
    assert select_pins(lock_of(package), "linux/amd64")[0] == ()


def test_a_package_that_is_installed_twice_is_left_out() -> None:
    reason = "it is installed 2 times, and installers allow one version"
    assert findings(fake("a", "1.0"), fake("a", "1.1")) == [
        ("export-left-out", f"a 1.0 is not in the export: {reason}"),
        ("export-left-out", f"a 1.1 is not in the export: {reason}"),
    ]


def test_live_patches_are_named_as_lost() -> None:
    patches = (Patch(path="a", change="deleted"), Patch(path="b", change="deleted"))
    assert findings(replace(fake("a", "1.0"), patches=patches)) == [
        ("export-unpatched", "a 1.0 was patched live (2 files); the export has it as published")
    ]


def test_a_url_that_held_a_secret_is_named() -> None:
    url = "https://example.org/***/a-1.0-py3-none-any.whl"
    assert findings(fake("a", "1.0", origin="url", url=url)) == [
        ("export-secret", "The URL of a held a secret: put it back before installing")
    ]
