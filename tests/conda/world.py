"""A world with a conda environment: the channel, the environment, a Debian archive, a home and a store."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from envcap.scan import SubprocessRunner, scan_environment
from tests.conda.channel import Channel, install
from tests.flow import Flow, debs_for
from tests.lock.debian_archive import Pocket, build_archive

EVERYTHING = ("python", "tool", "fast", "hooked", "old")


def make_world(
    root: Path,
    channel: Channel,
    names: Sequence[str] = EVERYTHING,
    *,
    prefix: str = "env",
    settings: Mapping[str, str] | None = None,
    requested: Sequence[str] = (),
) -> Flow:
    """Install packages into `root/PREFIX`, and let envcap's settings name the channel.

    Args:
        root: An empty folder.
        channel: Where the packages come from.
        names: What to install.
        prefix: Name of the environment's folder.
        settings: More variables.
        requested: The specs by which they were asked for; the first by its name if empty.
    """
    flow = Flow(
        root=root,
        settings={"CONDA_CHANNELS": channel.root.as_uri(), **(settings or {})},
        environment=prefix,
    )
    for folder in (flow.wheels, flow.mirror, flow.home):
        folder.mkdir(parents=True)
    install(channel, flow.prefix, names, cache=root / "cache", requested=requested or names[:1])
    environment = scan_environment(flow.prefix, run=SubprocessRunner(dict(os.environ)))
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    debs = debs_for(environment, architecture)
    build_archive(flow.mirror, Pocket(suite="bookworm", debs=debs), architectures=(architecture,))
    return flow
