"""Commands about signatures and registries: their arguments, and no work."""

from pathlib import Path
from typing import Annotated

import typer

from envcap.cli.commands.options import IndexOption, JsonOption, LockArgument, PlainHttpOption, StoreOption


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
    platform: Annotated[
        str, typer.Option("--platform", metavar="OS/ARCH", help="Of the image [default: the lock's].")
    ] = "",
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


def pull(
    reference: Annotated[str, typer.Argument(metavar="REF", help="What was published: with a tag or a digest.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write DIR/NAME/.")] = Path(
        "lockfiles"
    ),
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the folder [default: the lock's].")] = "",
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
