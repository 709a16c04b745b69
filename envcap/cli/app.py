"""The `envcap` program: its commands, and the one place where errors become lines and exit statuses.

Commands are imported when they run, so that `envcap --help` answers at once.
"""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from envcap.errors import EnvcapError, UsageError

app = typer.Typer(
    name="envcap",
    help="Capture a live Python environment, pin every byte, rebuild it anywhere as a byte-identical OCI image.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="Care for the content store.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(store_app, name="store")
gpu_app = typer.Typer(help="Ask what GPUs a lock runs on.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(gpu_app, name="gpu")

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Content store [default: ENVCAP_STORE or the user's cache]."),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Ask no index, mirror or archive.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
IndexOption = Annotated[
    list[str] | None, typer.Option("--index", metavar="URL", help="Another package index to ask (repeatable).")
]
PlainHttpOption = Annotated[
    bool, typer.Option("--plain-http", help="Ask the registry over http (this machine's are tried so anyway).")
]
LockArgument = Annotated[Path, typer.Argument(metavar="LOCK", help="A lockfile, its folder, a bundle or a reference.")]

_FORMATS = "`pylock`, `requirements`, `conda-lock`, `explicit`, `environment`, `cyclonedx` or `dockerfile`"
_INTERRUPTED = 130
_UsageError = typer.BadParameter.__mro__[1]
"""Root of typer's complaints about a command line: click's own class in older releases, a copy of it in newer ones."""


UserSiteOption = Annotated[
    bool | None,
    typer.Option("--user-site/--no-user-site", help="Take the user's own packages too [default: as Python imports]."),
]


@app.command()
def snapshot(
    prefix: Annotated[
        Path | None, typer.Argument(metavar="[PREFIX]", help="An environment or interpreter [default: the active one].")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the lock [default: the environment's folder].")] = "",
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write DIR/NAME/.")] = Path(
        "lockfiles"
    ),
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse edited files and captured packages (status 3).")
    ] = False,
    system: Annotated[
        list[str] | None, typer.Option("--system", metavar="PACKAGE", help="One more Debian package (repeatable).")
    ] = None,
    suite: Annotated[str, typer.Option("--suite", help="Debian suite [default: the oldest that fits].")] = "",
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
        list[str] | None, typer.Option("--export", metavar="FORMAT", help=f"Also write {_FORMATS}.")
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


@app.command()
def rebuild(
    lock: LockArgument,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="OCI layout folder, or a `.tar` of it.")
    ] = None,
    load: Annotated[bool, typer.Option("--load", help="Load the image into docker.")] = False,
    rootfs: Annotated[
        Path | None, typer.Option("--rootfs", metavar="DIR", help="Write the files to a new folder.")
    ] = None,
    push: Annotated[
        str, typer.Option("--push", metavar="REF", help="Push the image to a registry, as `HOST/NAME:TAG`.")
    ] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="REF", help="Take layers from a registry rather than build them.")
    ] = "",
    plain_http: PlainHttpOption = False,
    tag: Annotated[str, typer.Option("--tag", help="Name of the image [default: NAME:envcap].")] = "",
    platform: Annotated[
        str, typer.Option("--platform", help="`linux/amd64` or `linux/arm64` [default: the lock's].")
    ] = "",
    record: Annotated[bool, typer.Option("--record", help="Write what was built into the lock as expected.")] = False,
    attest: Annotated[
        bool, typer.Option("--attest", help="Sign what came out, match or not, into a file beside the lock.")
    ] = False,
    key: Annotated[Path | None, typer.Option("--key", metavar="KEY", help="Private key of `--attest`.")] = None,
    index: IndexOption = None,
    offline: OfflineOption = False,
    jobs: Annotated[int, typer.Option("--jobs", min=0, max=64, help="Layers built at a time [default: CPUs].")] = 0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild a lock as an OCI image: the same image ID on every machine."""
    from envcap.cli.rebuild import RebuildOptions, rebuild_command  # noqa: PLC0415  # commands load when they run

    rebuild_command(
        RebuildOptions(
            lock=lock,
            output=output,
            load=load,
            rootfs=rootfs,
            tag=tag,
            platform=platform,
            record=record,
            attest=attest,
            key=key,
            index=tuple(index or ()),
            offline=offline,
            jobs=jobs,
            store=store,
            as_json=as_json,
            push=push,
            source=source,
            plain_http=plain_http,
        )
    )


@app.command("run")
def run_image(
    lock: LockArgument,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="CMD", help="What to run, after `--` [default: the image's shell].")
    ] = None,
    volume: Annotated[
        list[str] | None,
        typer.Option("--volume", "-v", metavar="SRC:PATH[:ro]", help="Mount a file or folder (repeatable)."),
    ] = None,
    mount_cwd: Annotated[
        bool, typer.Option("--mount-cwd", help="Mount the current folder at its own path, and start there.")
    ] = False,
    workdir: Annotated[str, typer.Option("--workdir", "-w", metavar="DIR", help="Where the command starts.")] = "",
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME[=VALUE]", help="Set a variable, or pass one on (repeatable)."),
    ] = None,
    no_gpu: Annotated[bool, typer.Option("--no-gpu", help="Run without the GPU that the lock wants.")] = False,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="`docker` or `podman` [default: the first that answers].")
    ] = "",
    platform: Annotated[str, typer.Option("--platform", help="[default: the lock's].")] = "",
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
) -> None:
    """Run a command in a lock's image, GPUs included; its exit status is the command's."""
    from envcap.cli.run import RunOptions, run_command  # noqa: PLC0415  # commands load when they run

    run_command(
        RunOptions(
            lock=lock,
            command=tuple(command or ()),
            volume=tuple(volume or ()),
            workdir=workdir,
            env=tuple(env or ()),
            mount_cwd=mount_cwd,
            gpu=not no_gpu,
            engine=engine,
            platform=platform,
            index=tuple(index or ()),
            offline=offline,
            store=store,
        )
    )


@app.command()
def verify(
    lock: LockArgument,
    image: Annotated[
        str,
        typer.Argument(
            metavar="[IMAGE]", help="A layout folder, a tar, `docker:NAME`, or `HOST/NAME:TAG` in a registry."
        ),
    ] = "",
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Whose signatures and rebuilds the lock must have.")
    ] = None,
    plain_http: PlainHttpOption = False,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an image against its lock, and a lock against a policy of who must vouch for it; status 3 if not."""
    from envcap.cli.verify import verify_command  # noqa: PLC0415  # commands load when they run

    verify_command(
        lock,
        image,
        policy=policy,
        plain_http=plain_http,
        index=tuple(index or ()),
        offline=offline,
        store=store,
        as_json=as_json,
    )


@app.command()
def sign(
    lock: LockArgument,
    key: Annotated[
        Path, typer.Option("--key", metavar="KEY", help="Private key: Ed25519 or ECDSA P-256, of OpenSSH or PEM.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Vouch for a lock: write a signature beside it, which `envcap verify --policy` checks."""
    from envcap.cli.trust import sign_command  # noqa: PLC0415  # commands load when they run

    sign_command(lock, key, as_json=as_json)


@app.command()
def check(
    lock: LockArgument,
    prefix: Annotated[
        Path | None, typer.Argument(metavar="[PREFIX]", help="A virtual environment [default: the active one].")
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


@app.command()
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


@app.command()
def show(
    lock: LockArgument,
    patches: Annotated[
        bool, typer.Option("--patches", help="Show every patched file, with its diff, instead.")
    ] = False,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Summarise a lock, with sizes."""
    from envcap.cli.show import show_command  # noqa: PLC0415  # commands load when they run

    show_command(lock, as_json=as_json, patches=patches, index=tuple(index or ()), offline=offline, store=store)


@app.command()
def export(
    lock: LockArgument,
    form: Annotated[str, typer.Option("--format", metavar="F", help=f"{_FORMATS}.")],
    platform: Annotated[str, typer.Option("--platform", help="[default: the lock's].")] = "",
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="[default: standard output].")] = None,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
) -> None:
    """Write a lock in another tool's format."""
    from envcap.cli.export import export_command  # noqa: PLC0415  # commands load when they run

    export_command(lock, form, platform=platform, output=output, index=tuple(index or ()), offline=offline, store=store)


@app.command()
def publish(
    lock: LockArgument,
    reference: Annotated[str, typer.Argument(metavar="REF", help="Where to: `registry.example.org/lab/ml:TAG`.")],
    image: Annotated[
        Path | None, typer.Option("--image", metavar="LAYOUT", help="The image, if it is built [default: build it].")
    ] = None,
    no_image: Annotated[bool, typer.Option("--no-image", help="Publish the lock alone.")] = False,
    with_sources: Annotated[
        bool, typer.Option("--with-sources", help="Put every file that the lock pins beside it.")
    ] = False,
    platform: Annotated[str, typer.Option("--platform", help="Of the image [default: the lock's].")] = "",
    plain_http: PlainHttpOption = False,
    index: IndexOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a lock, what is kept with it, its image and its attestations in a registry; the tag comes last."""
    from envcap.cli.publish import PublishOptions, publish_command  # noqa: PLC0415  # commands load when they run

    options = PublishOptions(
        lock=lock, reference=reference, image=image, no_image=no_image, with_sources=with_sources, platform=platform,
        plain_http=plain_http, index=tuple(index or ()), store=store, as_json=as_json,
    )  # fmt: skip
    publish_command(options)


@app.command()
def pull(
    reference: Annotated[str, typer.Argument(metavar="REF", help="What was published: with a tag or a digest.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write DIR/NAME/.")] = Path(
        "lockfiles"
    ),
    name: Annotated[str, typer.Option("--name", help="Name of the folder [default: the lock's].")] = "",
    with_sources: Annotated[
        bool, typer.Option("--with-sources", help="Take the pinned files that lie with it, too.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another lock that lies there.")] = False,
    plain_http: PlainHttpOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Get a published lock with what is kept with it and said of it: DIR/NAME/envcap.lock."""
    from envcap.cli.pull import PullOptions, pull_command  # noqa: PLC0415  # commands load when they run

    options = PullOptions(
        reference=reference, output=output, name=name, with_sources=with_sources, force=force, plain_http=plain_http,
        store=store, as_json=as_json,
    )  # fmt: skip
    pull_command(options)


@app.command()
def history(
    reference: Annotated[str, typer.Argument(metavar="REF", help="A repository, or one tag or digest of it.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Check signatures by the keys of this policy.")
    ] = None,
    plain_http: PlainHttpOption = False,
    as_json: JsonOption = False,
) -> None:
    """List what was published to a repository, who signed it and who rebuilt it to the same image."""
    from envcap.cli.history import history_command  # noqa: PLC0415  # commands load when they run

    history_command(reference, policy=policy, plain_http=plain_http, as_json=as_json)


@app.command()
def bundle(
    lock: LockArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it [default: NAME.envcap].")
    ] = None,
    image: Annotated[bool, typer.Option("--image", help="Put the rebuilt image in too.")] = False,
    platform: Annotated[str, typer.Option("--platform", help="Of the image [default: the lock's].")] = "",
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a lock and everything that it pins into one file, which rebuilds without any network."""
    from envcap.cli.bundle import BundleOptions, bundle_command  # noqa: PLC0415  # commands load when they run

    options = BundleOptions(
        lock=lock, output=output, image=image, platform=platform, index=tuple(index or ()), offline=offline,
        store=store, as_json=as_json,
    )  # fmt: skip
    bundle_command(options)


@app.command()
def doctor(
    lock: LockArgument,
    fix: Annotated[bool, typer.Option("--fix", help="Keep what may get lost beside the lock, in its `blobs`.")] = False,
    index: IndexOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what of a lock may not be had one day; status 3 if something may not."""
    from envcap.cli.doctor import DoctorOptions, doctor_command  # noqa: PLC0415  # commands load when they run

    options = DoctorOptions(
        lock=lock, fix=fix, index=tuple(index or ()), offline=offline, store=store, as_json=as_json
    )  # fmt: skip
    doctor_command(options)


@app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="An `@EXPLICIT` list, `conda-lock.yml`, `pixi.lock`, exact `environment.yml` or `pylock.toml`.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the lock.")],
    environment: Annotated[
        str, typer.Option("--environment", metavar="NAME", help="Environment of a pixi.lock [default: its default].")
    ] = "",
    python: Annotated[
        str,
        typer.Option("--python", help="For a pylock.toml: version or path of the interpreter [default: what fits]."),
    ] = "",
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Leave out what a pixi.lock builds from a folder (repeatable)."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write DIR/NAME/.")] = Path(
        "lockfiles"
    ),
    suite: Annotated[str, typer.Option("--suite", help="Debian suite [default: the oldest that fits].")] = "",
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


@gpu_app.command("where")
def gpu_where(lock: LockArgument, as_json: JsonOption = False) -> None:
    """List the GPU models and driver branches on which a lock runs, and what excludes the others."""
    from envcap.cli.gpu import where_command  # noqa: PLC0415  # commands load when they run

    where_command(lock, as_json=as_json)


@store_app.command("path")
def store_path(store: StoreOption = None) -> None:
    """Print where the store is."""
    from envcap.cli.store import path_command  # noqa: PLC0415  # commands load when they run

    path_command(store)


@store_app.command("fsck")
def store_fsck(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Rehash everything in the store; damaged objects are set aside (status 3)."""
    from envcap.cli.store import fsck_command  # noqa: PLC0415  # commands load when they run

    fsck_command(store, as_json=as_json)


@store_app.command("gc")
def store_gc(
    days: Annotated[float, typer.Option("--keep-days", min=0, help="Keep what was used in the last days.")] = 30,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what has not been used lately; everything can be fetched or built again."""
    from envcap.cli.store import gc_command  # noqa: PLC0415  # commands load when they run

    gc_command(store, days=days, as_json=as_json)


def _version(value: bool) -> None:
    if value:
        from envcap import __version__  # noqa: PLC0415  # nothing else here needs it
        from envcap.cli.talk import print_data  # noqa: PLC0415  # commands load when they run

        print_data(f"envcap {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run(argv: Sequence[str]) -> int:
    """Run a command line and give its exit status: 0 fine, 1 failed, 2 usage, 3 a difference was found."""
    try:
        # Without its standalone mode typer hands over what it would print and exit with by itself.
        status = app(args=list(argv), prog_name="envcap", standalone_mode=False)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last place where an error can become a line
        return _explain(error)
    if status == _INTERRUPTED:
        return _fail("Interrupted; nothing was half-written", "", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    if isinstance(error, EnvcapError):
        return _fail(error.message, error.hint, error.exit_status)
    if isinstance(error, _UsageError):
        return _fail_of_usage(error)
    if isinstance(error, OSError):
        return _fail_of_system(error)
    if os.environ.get("ENVCAP_DEBUG"):
        _show_trace(error)
    return _fail(
        f"envcap made a mistake ({type(error).__name__}: {_without_secrets(str(error))})",
        "please report it; set ENVCAP_DEBUG=1 to see where it happened",
        1,
    )


def _show_trace(error: Exception) -> None:
    """Print where a mistake happened; it is pasted into reports, and a library's message may repeat a URL."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    sys.stderr.write("".join(f"{_without_secrets(line)}\n" for line in lines))


def _without_secrets(text: str) -> str:
    from envcap.sources.scrub import scrub_text  # noqa: PLC0415  # only for a mistake

    return scrub_text(text)


def _fail_of_usage(error: Exception) -> int:
    """Say what is wrong with the command line; without any argument a group prints its help instead."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{context.get_help()}\n" if context else "")
        return UsageError.exit_status
    command = context.command_path if context else "envcap"
    return _fail(error.format_message(), f"see `{command} --help`", UsageError.exit_status)  # type: ignore[attr-defined]


def _fail_of_system(error: OSError) -> int:
    """Say what the operating system refused where no part of envcap explained it better."""
    try:
        sys.stdout.flush()
    except OSError:
        # Whoever reads our output has gone, or its disk is full; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 1
    where = f": {error.filename}" if error.filename else ""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    hint = "free some space, or choose other folders with `--store` and `--output`" if full else ""
    return _fail(f"{error.strerror or error}{where}", hint, 1)


def _fail(message: str, hint: str, status: int) -> int:
    from envcap.cli.talk import Talk  # noqa: PLC0415  # only when there is something to say

    Talk().fail(message, hint)
    return status
