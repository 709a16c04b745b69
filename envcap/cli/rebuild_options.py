"""What `envcap rebuild` is asked for, and which of it contradicts itself."""

from dataclasses import dataclass
from pathlib import Path

from envcap.errors import UsageError
from envcap.oci.layout import check_layout_place, check_tar_place


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildOptions:
    """The command's options, as given."""

    lock: Path
    output: Path | None
    load: bool
    rootfs: Path | None
    tag: str
    platform: str
    record: bool
    attest: bool
    key: Path | None
    index: tuple[str, ...]
    offline: bool
    jobs: int
    store: Path | None
    as_json: bool
    push: str = ""
    source: str = ""
    plain_http: bool = False


def check_options(options: RebuildOptions) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: Two of them name the same place, or exclude each other.
        SinkError: A place can't take the image: said before it is built.
    """
    if options.attest != bool(options.key):
        raise UsageError("`--attest` and `--key KEY` go together")
    if options.attest and options.record:
        raise UsageError(
            "`--attest` says whether the image is the expected one, `--record` makes it so",
            hint="record first; then rebuild with `--attest`, best on another machine",
        )
    if options.source and (options.record or options.attest):
        raise UsageError(
            "`--from` takes what the lock expects, `--record` and `--attest` are about what is built here",
            hint="leave `--from` away: everything is built then",
        )
    if options.output and options.rootfs and options.output.absolute() == options.rootfs.absolute():
        raise UsageError("`--output` and `--rootfs` name the same place")
    if options.output:
        check = check_tar_place if options.output.suffix == ".tar" else check_layout_place
        check(options.output)
    if options.rootfs:
        from envcap.oci.rootfs import check_rootfs_place  # noqa: PLC0415  # seldom asked for

        check_rootfs_place(options.rootfs)
