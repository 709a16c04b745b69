"""Wheels made in memory, each member as its archive would hold it: deflated, stored, with data descriptors."""

from collections.abc import Mapping
from dataclasses import dataclass

from envcap.archives.zip import ZipArchive, open_zip
from tests.archives.fakes import MemoryReader
from tests.archives.zip_builder import FakeMember, build_zip, descriptor
from tests.lock.wheels import row_hash, wheel_files

INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"
FILE = "demo-1.0-py3-none-any.whl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How members are packed.

    Attributes:
        stored: Names of members without compression.
        described: Names of members with a data descriptor, as wheels written to a pipe have them.
        executable: Names of members with an x bit.
        folders: Names of directory members to add.
    """

    stored: frozenset[str] = frozenset()
    described: frozenset[str] = frozenset()
    executable: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()


PLAIN = Packing()


def pack(members: Mapping[str, bytes], packing: Packing = PLAIN) -> bytes:
    """Zip members."""
    folders = [FakeMember(name=f"{name}/".encode(), data=b"", method=0, mode=0o040755) for name in packing.folders]
    return build_zip(*folders, *(_member(name, data, packing) for name, data in members.items()))


def _member(name: str, data: bytes, packing: Packing) -> FakeMember:
    mode = 0o100755 if name in packing.executable else 0o100644
    flags = 0 if name.isascii() else 0x800
    if name in packing.stored:
        return FakeMember(name=name.encode(), data=data, method=0, mode=mode, flags=flags)
    if name in packing.described:
        zeros: dict[str, int | bytes] = {"crc": 0, "compressed_size": 0, "size": 0}
        return FakeMember(
            name=name.encode(), data=data, mode=mode, flags=flags | 8, local=zeros, after=descriptor(data)
        )
    return FakeMember(name=name.encode(), data=data, mode=mode, flags=flags)


def open_members(members: Mapping[str, bytes], packing: Packing = PLAIN, *, file: str = FILE) -> ZipArchive:
    """Zip members and open the zip."""
    return open_zip(MemoryReader(pack(members, packing)), name=file)


def demo_members(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Add METADATA, WHEEL and RECORD to the files of a wheel called demo."""
    members = wheel_files("demo", "1.0", files)
    rows = "".join(f'"{name}",{row_hash(data)},{len(data)}\n' for name, data in members.items())
    return {**members, f"{INFO}/RECORD": f"{rows}{INFO}/RECORD,,\n".encode()}
