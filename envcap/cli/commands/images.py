"""Commands about images: their arguments, and no work."""

from pathlib import Path
from typing import Annotated

import typer

from envcap.cli.commands.options import (
    IndexOption,
    JsonOption,
    LockArgument,
    OfflineOption,
    PlainHttpOption,
    StoreOption,
)


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
    tag: Annotated[str, typer.Option("--tag", metavar="NAME", help="Name of the image [default: NAME:envcap].")] = "",
    platform: Annotated[
        str, typer.Option("--platform", metavar="OS/ARCH", help="`linux/amd64` or `linux/arm64` [default: the lock's].")
    ] = "",
    record: Annotated[bool, typer.Option("--record", help="Write what was built into the lock as expected.")] = False,
    attest: Annotated[
        bool, typer.Option("--attest", help="Sign what came out, match or not, into a file beside the lock.")
    ] = False,
    key: Annotated[Path | None, typer.Option("--key", metavar="KEY", help="Private key of `--attest`.")] = None,
    index: IndexOption = None,
    offline: OfflineOption = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            metavar="N",
            min=0,
            max=64,
            show_default=False,
            help="Layers built at a time [default: CPUs].",
        ),
    ] = 0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild a lock as an OCI image: the same image ID on every machine."""
    from envcap.cli.rebuild import rebuild_command  # noqa: PLC0415  # commands load when they run
    from envcap.cli.rebuild_options import RebuildOptions  # noqa: PLC0415  # as above

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
    platform: Annotated[
        str, typer.Option("--platform", metavar="OS/ARCH", help="Of the image [default: the lock's].")
    ] = "",
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
