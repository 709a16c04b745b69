"""Locking against the Debian mirror that this machine is set up for: indexes only, no package is fetched."""

import os
import time

import httpx
import pytest

from envcap.errors import MissingArtifactError
from envcap.lock.debian import SystemNeeds, lock_system_packages
from envcap.lock.debian_deb import DebFacts
from envcap.lockfile.model import SystemPackage
from envcap.sources.debian_archive import DebianAccess, open_suite
from envcap.sources.debian_settings import find_debian_mirrors
from envcap.sources.debian_signature import run_command
from envcap.sources.debian_transport import MirrorTransport
from tests.sources.index_cache import MemoryCache


def read_nothing(package: SystemPackage) -> DebFacts:
    raise MissingArtifactError(f"{package.name} was read, though nothing is needed of it")


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(("suite", "python"), [("bookworm", "3.11.2"), ("trixie", "3.13.5")])
def test_the_base_and_the_interpreter_resolve_on_the_real_archive(suite: str, python: str) -> None:
    with httpx.Client(timeout=60) as client:
        access = DebianAccess(
            mirrors=find_debian_mirrors(os.environ),
            transport=MirrorTransport(client),
            cache=MemoryCache(),
            run=run_command,
            now=int(time.time()),
        )
        opened = open_suite(access, suite, "amd64")
        packages, sources, _ = lock_system_packages(
            SystemNeeds(origin="debian", version=python), suite=opened, platform="linux/amd64", read_deb=read_nothing
        )
    names = {package.name for package in packages}
    assert {"libc6", "bash", "ca-certificates", "coreutils", "tzdata", f"python{python[:4]}"} <= names
    assert not names & {"dpkg", "debconf", "perl-base"}
    assert 40 <= len(names) <= 70
    assert {source.suite for source in sources} <= {suite, f"{suite}-updates", f"{suite}-security"}
