"""`scripts/bench`: measure envcap against the figures it is to reach, and print one table.

Whatever fails becomes a row that says why; the table is printed and the exit status is 0 all the same.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from commands import StepError, tell
from conda import CondaBench
from gpu import GpuBench
from report import Row, machine_facts, markdown
from sharing import SharingBench
from steps import STATES, Bench
from workplace import QUICK, Workplace

_TOP = Path(__file__).resolve().parent.parent.parent
_PINS = _TOP / "scripts" / "bench-requirements.txt"

_STORES = ("seed", "store", "store-warm", "store-check", "store-bundle")
_FOLDERS = (
    "env",
    "uv-envs",
    "empty",
    "locks",
    "locks-warm",
    "layout",
    "registry",
    "context",
    "conda",
    "gpu",
    "sharing",
)
_REBUILD = "rebuild to an OCI layout, wheels and debs in the store"
_DOCKER = "the same against `docker build` (uv, warm cache mount, base image there) and `docker push`"


def main() -> None:
    """Measure, print, tidy up."""
    options = _options()
    started = time.monotonic()
    root = (options.keep or _TOP / ".bench").absolute()
    root.mkdir(parents=True, exist_ok=True)
    _clear(root)
    pins = tuple(line for line in _PINS.read_text(encoding="utf-8").split() if _wanted(line, quick=options.quick))
    place = Workplace(root=root, pins=pins, python=options.python)
    bench, before = Bench(place=place), machine_facts()
    rows = _measure(bench, gpu=options.gpu)
    load = machine_facts().rpartition("load ")[2]
    table = markdown(rows)
    facts = ". ".join([f"Machine: {before} at the start, {load} at the end", *bench.facts])
    text = f"{table}\n\n{facts}.\n"
    print(text, end="", flush=True)
    if options.keep:
        (root / "report.md").write_text(text, encoding="utf-8")
    else:
        _clear(root)
    tell(f"took {time.monotonic() - started:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller environment, to try it out")
    parser.add_argument("--gpu", action="store_true", help="also a CUDA environment: 3 GB of wheels, 5 GB of disk")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR instead of .bench/, and leave it all")
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}",
        help="interpreter of the environment that is captured (default: the one that runs envcap)",
    )
    return parser.parse_args()


def _measure(bench: Bench, *, gpu: bool) -> list[Row]:
    size = "100+ packages, 20,000+ files" if len(bench.place.pins) >= 100 else "a small set: no figure counts"
    rows: list[Row] = []
    failed = _attempt(bench.prepare)
    if isinstance(failed, str):
        rows.append(Row(work="preparation", reach="", measured=failed))
    snapshot = [
        (f"snapshot ({size}), warm disk, proofs unknown", "under 10 s"),
        ("its share of the wheels' bytes fetched", "under 5 %"),
        ("its index installs proven", "100 %"),
    ]
    again = [("snapshot again, nothing changed", "under 3 s"), ("its lock byte-identical", "yes")]
    check = [
        ("check on a machine that has nothing, wheels read on the index", ""),
        ("check again, nothing changed", "under 1.5 s"),
        ("check again, `--full`", "under 4 s"),
    ]
    faster = "faster than `uv pip install --link-mode=copy`, cache warm"
    rebuild = [(f"{_REBUILD}, {state.name}", faster) for state in STATES]
    docker = [(f"{_DOCKER}; in the store: {state.name}", "5x as fast") for state in STATES]
    changed = [
        ("rebuild with one package changed: layers", "one wheel layer, one of the environment"),
        ("rebuild with one package changed", "under 1 s"),
    ]
    conda_bench = CondaBench(place=bench.place, facts=bench.facts)
    packed = "conda: rebuild to an OCI layout, archives and debs in the store, no layer, against `conda-pack`"
    conda = [
        (f"{packed} of the same prefix", "faster"),
        (f"{packed} `--n-threads -1` of the same prefix", ""),
        ("conda: rebuild again, every layer in the store", ""),
    ]
    cuda = [
        ("analysis of the GPU code of a CUDA torch environment, warm", "under 3 s"),
        ("snapshot of it, warm, hashes included", "bounded by disk and sha256"),
    ]
    bundle = [
        ("bundle, everything in the store", "under 2 s"),
        ("rebuild from the bundle, offline, on an empty store", "the same image ID"),
    ]
    shared = [
        ("push of a 1 GB image to a registry on loopback, layers in the store, against `skopeo copy`", "as fast"),
        ("push of it again", "under 1 s"),
        ("the image taken from the registry to an OCI layout, on an empty store, against `docker pull`", "as fast"),
    ]
    memory = [("peak memory of snapshot", "under 300 MB"), ("peak memory of rebuild", "under 300 MB")]
    steps: list[tuple[list[tuple[str, str]], Callable[[], Sequence[str]]]] = [
        (snapshot, bench.snapshot),
        (again, bench.again),
        (check, bench.check),
        (rebuild, bench.rebuild),
        (docker, bench.docker),
        (bundle, bench.bundle),
        (shared, SharingBench(place=bench.place, facts=bench.facts).measure),
        (changed, bench.changed),
        ([("conda: snapshot of 150 records, warm", "under 2 s")], conda_bench.snapshot),
        (conda, conda_bench.rebuild),
        *([(cuda, GpuBench(place=bench.place, facts=bench.facts).measure)] if gpu else []),
        (memory, bench.memory),
        ([("`envcap --help`", "under 0.3 s")], bench.help),
    ]
    for titles, step in steps:
        found = _attempt(step)
        measured = [found] * len(titles) if isinstance(found, str) else found
        rows += [
            Row(work=work, reach=reach, measured=text) for (work, reach), text in zip(titles, measured, strict=True)
        ]
    return rows


def _attempt(step: Callable[[], Sequence[str]]) -> Sequence[str] | str:
    """Do a step; a failure is an answer too."""
    try:
        return step()
    except StepError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001  # the other figures are worth having, whatever this one met
        reason = f"{type(error).__name__}: {error}"
    tell(f"not measured: {reason}")
    return f"not measured: {reason}"


def _wanted(pin: str, *, quick: bool) -> bool:
    return not quick or pin.partition("==")[0] in QUICK


def _clear(root: Path) -> None:
    """Remove what an earlier run left, by name: `--keep` may name a folder with something else in it."""
    for name in (*_STORES, *_FOLDERS):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("bench.envcap", "requirements.txt", "registry.yml", "registry.log", "report.md"):
        (root / name).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
