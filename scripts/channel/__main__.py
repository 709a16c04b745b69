"""`scripts/make-channel`: a conda channel on disk without a conda server, and an environment installed from it.

The channel holds what the tests' channel holds (`tests/conda/channel.py`), a CPython with its whole standard library,
and a package for each wheel that it is given; py-rattler indexes it and installs from it.
"""

import argparse
import asyncio
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rattler.index import index_fs

from tests.conda.channel import PLACEHOLDER, Member, Spec, install, make_channel, python_spec, small_specs
from tests.conda.wheels import wheel_spec

_ONLY_ONE = "twin-b"
"""It brings a path of twin-a's with other bytes: in the channel, but not in the environment."""


def main() -> None:
    """Make what was asked for; say on standard error what is done."""
    options = _options()
    root = options.folder.absolute()
    for name in ("lab", "env", "package-cache"):
        if (root / name).exists():
            sys.exit(f"make-channel: {root / name} is there already; remove it, or name another folder")
    wheels = sorted(options.wheels.glob("*.whl")) if options.wheels else []
    own = (python_spec(whole=True), *small_specs())
    with ThreadPoolExecutor(2) as pool:
        specs = [*own, *pool.map(wheel_spec, wheels)]
    there = len(specs) - 1
    specs += [_library(number) for number in range(options.packages - there)]
    _say(f"writing {len(specs)} packages into {root / 'lab'}")
    channel = make_channel(root / "lab", specs, level=options.level)
    asyncio.run(index_fs(root / "lab", force=True))
    names = [spec.name for spec in specs if spec.name != _ONLY_ONE]
    _say(f"installing {len(names)} of them into {root / 'env'}")
    install(channel, root / "env", names, cache=root / "package-cache", requested=("python", "tool"))
    _say(f"done: CONDA_CHANNELS={channel.root.as_uri()} envcap snapshot {root / 'env'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/make-channel", description=__doc__)
    parser.add_argument(
        "folder",
        type=Path,
        help="gets lab/ (the channel), env/ (the environment) and package-cache/ (conda-pack looks there)",
    )
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="repackage every wheel of this folder too")
    parser.add_argument(
        "--packages", type=int, default=0, metavar="N", help="add small libraries until the environment has N records"
    )
    parser.add_argument("--level", type=int, default=3, help="of zstd (default: 3; conda-forge's own packages: 19)")
    return parser.parse_args()


def _library(number: int) -> Spec:
    """Make a small library with a header: what half of a conda environment's records are."""
    name = f"libsmall{number}"
    noise = b"".join(hashlib.sha256(b"%d %d" % (number, at)).digest() for at in range(6_000))
    data = b"\x7fNOT ELF\0" + noise + f"\0{PLACEHOLDER}/lib\0".encode()
    return Spec(
        name=name,
        version="1.0",
        files={
            f"lib/{name}.so.1": Member(data=data, mode=0o755, placeholder=PLACEHOLDER, binary=True),
            f"lib/{name}.so": Member(target=f"{name}.so.1"),
            f"include/{name}.h": Member(data=f"int {name};\n".encode()),
            f"lib/pkgconfig/{name}.pc": Member(data=f"prefix={PLACEHOLDER}\n".encode(), placeholder=PLACEHOLDER),
        },
    )


def _say(text: str) -> None:
    print(f"make-channel: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
