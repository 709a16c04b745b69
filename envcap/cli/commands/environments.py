"""Commands about live environments and what other tools locked: their arguments, and no work."""

from pathlib import Path
from typing import Annotated

import typer

from envcap.cli.commands.options import (
    FORMATS,
    IndexOption,
    JsonOption,
    LockArgument,
    OfflineOption,
    StoreOption,
    UserSiteOption,
)


def snapshot(
    prefix: Annotated[
        Path | None, typer.Argument(metavar="[PREFIX]", help="An environment or interpreter [default: the active one].")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the lock [default: the environment's folder].")
    ] = "",
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write DIR/NAME/.")] = Path(
        "lockfiles"
    ),
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse edited files and captured packages (status 3).")
    ] = False,
    system: Annotated[
        list[str] | None, typer.Option("--system", metavar="PACKAGE", help="One more Debian package (repeatable).")
    ] = None,
    suite: Annotated[
        str, typer.Option("--suite", metavar="SUITE", help="Debian suite [default: the oldest that fits].")
    ] = "",
    refresh_system: Annotated[bool, typer.Option("--refresh-system", help="Renew the pins of OS packages.")] = False,
    max_unowned: Annotated[
        int,
        typer.Option(
            "--max-unowned", metavar="MB", min=0, help="Files of no package: capture at most this much in all."
        ),
    ] = 50,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="PATH", help="Capture this file or folder of no package too (repeatable)."),
    ] = None,
    allow_secret: Annotated[
        list[str] | None,
        typer.Option("--allow-secret", metavar="FILE", help="Keep FILE though it looks like a credential."),
    ] = None,
    user_site: UserSiteOption = None,
    no_build: Annotated[bool, typer.Option("--no-build", help="Never build an editable project.")] = False,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME[=VALUE]", help="Put a variable into the image (repeatable)."),
    ] = None,
    index: IndexOption = None,
    export: Annotated[
        list[str] | None, typer.Option("--export", metavar="FORMAT", help=f"Also write {FORMATS}.")
    ] = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Capture a live environment as a lock: DIR/NAME/envcap.lock."""
    from envcap.cli.snapshot import SnapshotOptions, snapshot_command  # noqa: PLC0415  # commands load when they run

    snapshot_command(
        SnapshotOptions(
            prefix=prefix,
            name=name,
            output=output,
            strict=strict,
            system=tuple(system or ()),
            suite=suite,
            refresh_system=refresh_system,
            max_unowned=max_unowned,
            allow_secret=tuple(allow_secret or ()),
            user_site=user_site,
            keep=tuple(keep or ()),
            build=not no_build,
            env=tuple(env or ()),
            index=tuple(index or ()),
            export=tuple(export or ()),
            offline=offline,
            store=store,
            as_json=as_json,
        )
    )


def check(
    lock: LockArgument,
    prefix: Annotated[
        Path | None, typer.Argument(metavar="[PREFIX]", help="An environment or interpreter [default: the active one].")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read every file, even those that look untouched.")] = False,
    max_unowned: Annotated[
        int, typer.Option("--max-unowned", metavar="MB", help="Limit that the snapshot was taken with.")
    ] = 50,
    user_site: UserSiteOption = None,
    machine_only: Annotated[
        bool, typer.Option("--machine", help="Check only whether this machine will do, before anything is fetched.")
    ] = False,
    gpu: Annotated[
        str, typer.Option("--gpu", metavar="NAME", help="Ask about a machine with this GPU, such as `H100`, instead.")
    ] = "",
    driver: Annotated[
        str, typer.Option("--driver", metavar="VERSION", help="... and this driver [default: the newest for it].")
    ] = "",
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that a live environment still is what its lock says, and that this machine will do; status 3 if not."""
    from envcap.cli.check import CheckOptions, check_command  # noqa: PLC0415  # commands load when they run

    check_command(
        CheckOptions(
            lock=lock,
            prefix=prefix,
            full=full,
            max_unowned=max_unowned,
            user_site=user_site,
            machine_only=machine_only,
            gpu=gpu,
            driver=driver,
            index=tuple(index or ()),
            offline=offline,
            store=store,
            as_json=as_json,
        )
    )


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A lock as elsewhere, or a live environment.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    whole: Annotated[bool, typer.Option("--all", help="Show every row of long lists.")] = False,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what differs between two locks, what matters first; status 3 if something does."""
    from envcap.cli.diff import DiffOptions, diff_command  # noqa: PLC0415  # commands load when they run

    diff_command(
        DiffOptions(
            before=before,
            after=after,
            whole=whole,
            index=tuple(index or ()),
            offline=offline,
            store=store,
            as_json=as_json,
        )
    )


def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="An `@EXPLICIT` list, `conda-lock.yml`, `pixi.lock`, exact `environment.yml` or `pylock.toml`.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the lock.")],
    environment: Annotated[
        str, typer.Option("--environment", metavar="NAME", help="Environment of a pixi.lock [default: its default].")
    ] = "",
    python: Annotated[
        str,
        typer.Option(
            "--python",
            metavar="PYTHON",
            help="For a pylock.toml: version or path of the interpreter [default: what fits].",
        ),
    ] = "",
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Leave out what a pixi.lock builds from a folder (repeatable)."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write DIR/NAME/.")] = Path(
        "lockfiles"
    ),
    suite: Annotated[
        str, typer.Option("--suite", metavar="SUITE", help="Debian suite [default: the oldest that fits].")
    ] = "",
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a lock of what another tool locked: DIR/NAME/envcap.lock."""
    from envcap.cli.imports import ImportOptions, import_command  # noqa: PLC0415  # commands load when they run

    options = ImportOptions(
        file=file, name=name, environment=environment, python=python, without=tuple(without or ()), output=output,
        suite=suite, offline=offline, store=store, as_json=as_json,
    )  # fmt: skip
    import_command(options)
