"""What a Debian package holds, as far as an image is concerned. Pure nouns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from envcap.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class DebContents:
    """A Debian package, read and checked.

    Attributes:
        fields: The fields of its control file (Debian policy 5.3), in their order.
        control: The control file as it stands, for scanners.
        entries: Its files, with paths rewritten for merged /usr; owners, groups and modes as packaged.
        conffiles: Absolute paths of its configuration files (Debian policy appendix E).
        md5sums: The list of checksums that it brings, as it stands; empty if it brings none.
        scripts: Texts of `preinst` and `postinst`; they are read, never run.
    """

    fields: Mapping[str, str]
    control: bytes
    entries: tuple[Entry, ...]
    conffiles: tuple[str, ...] = ()
    md5sums: bytes = b""
    scripts: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Name of the package."""
        return self.fields["Package"]

    @property
    def version(self) -> str:
        """Full version, with epoch and revision."""
        return self.fields["Version"]

    @property
    def architecture(self) -> str:
        """Debian's name of the architecture, or `all`."""
        return self.fields["Architecture"]

    @property
    def is_essential(self) -> bool:
        """Whether it must work unpacked but unconfigured (Debian policy 3.8)."""
        return self.fields.get("Essential") == "yes"
