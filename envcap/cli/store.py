"""`envcap store`: the store's own care."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from envcap.cli.machine import store_location
from envcap.cli.talk import Talk, print_data, visible
from envcap.errors import DifferenceError
from envcap.render import human_size
from envcap.store import open_store
from envcap.store.care import check_store
from envcap.store.garbage import collect_garbage


def path_command(store: Path | None) -> None:
    """Print where the store is."""
    print_data(str(store.absolute() if store else store_location()))


def fsck_command(store: Path | None, *, as_json: bool) -> None:
    """Rehash everything in the store.

    Raises:
        DifferenceError: Something was damaged; it was set aside.
    """
    opened = open_store(store.absolute() if store else store_location())
    with Talk().step("Checking") as step:
        report = check_store(opened, now=time.time(), progress=lambda done, total: step("objects", done, total))
    if as_json:
        print_data(json.dumps(asdict(report), default=str))
    else:
        for finding in report.findings:
            print_data(f"{visible(finding.path)}: {visible(finding.problem)}")
        cleared = report.dangling + report.temporary
        print_data(
            f"{report.objects} objects, {human_size(report.checked_bytes)}, {report.actions} results: "
            f"{'clean' if report.clean else f'{len(report.findings)} damaged'}"
            + (f"; {cleared} leftovers removed" if cleared else "")
        )
    if not report.clean:
        raise DifferenceError(
            "The store held damaged objects; they were set aside", hint="rebuild again: what is missing is fetched anew"
        )


def gc_command(store: Path | None, *, days: float, as_json: bool) -> None:
    """Remove what has not been used lately."""
    opened = open_store(store.absolute() if store else store_location())
    report = collect_garbage(opened, keep_newer_than_days=days, now=time.time())
    if as_json:
        print_data(json.dumps(asdict(report), default=str))
    else:
        print_data(
            f"removed {report.removed} objects ({human_size(report.freed_bytes)}) and {report.actions} results; "
            f"kept {report.kept} objects ({human_size(report.kept_bytes)})"
        )
