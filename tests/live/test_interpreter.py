"""What is said of an interpreter once the OS packages are pinned."""

from envcap.interpreter import CapturedInterpreter, DebianInterpreter
from envcap.live.interpreter import revision_findings
from envcap.lockfile.model import SystemPackage

LIVE = DebianInterpreter(package="python3.11-minimal", version="3.11.2-6+deb12u6", architecture="amd64")


def pinned(version: str, name: str = "python3.11-minimal") -> SystemPackage:
    return SystemPackage(
        name=name,
        version=version,
        architecture="amd64",
        platform="linux/amd64",
        source="debian",
        file=f"pool/{name}.deb",
        size=1,
        sha256="0" * 64,
        because=("base",),
    )


def test_another_revision_of_debian_s_python_is_named() -> None:
    (finding,) = revision_findings(LIVE, [pinned("3.11.2-6+deb12u8"), pinned("2.36-9", "libc6")])
    assert finding.code == "interpreter-revision"
    assert finding.message == (
        "The image gets python3.11-minimal 3.11.2-6+deb12u8, and the live one is 3.11.2-6+deb12u6: "
        "the mirror has no older one (`apt upgrade` brings this machine there)"
    )


def test_the_same_revision_and_other_interpreters_are_no_news() -> None:
    assert revision_findings(LIVE, [pinned("3.11.2-6+deb12u6")]) == ()
    assert revision_findings(CapturedInterpreter(reason="it is new"), [pinned("3.11.2-6+deb12u8")]) == ()
