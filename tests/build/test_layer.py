"""A layer: order, diff ID, blob, and what is refused. Rules 2 and 4 of recipe 1."""

import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.tar import read_tar
from envcap.archives.zip import open_zip
from envcap.build.arrange import arrange
from envcap.build.gzip import HEADER, libdeflate_member, member_trailer, stored_member
from envcap.build.layer import Compression, WrittenLayer, write_layer
from envcap.build.tar import tar_header
from envcap.digest import CHUNK_SIZE, Digest
from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.errors import ArchiveError, BuildError
from envcap.ustar import padding, trailer
from tests.archives.fakes import MemoryReader
from tests.archives.zip_builder import FakeMember, build_zip, deflated
from tests.wheel.members import Packing, open_members

FILE, DIRECTORY, SYMLINK = EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK
BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """Content that comes in chunks of a given length."""

    data: bytes
    length: int

    @property
    def size(self) -> int:
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), self.length):
            yield self.data[start : start + self.length]


@dataclass(frozen=True, slots=True)
class Lying:
    """Content that says another size than it has."""

    data: bytes
    size: int

    def chunks(self) -> Iterator[bytes]:
        yield self.data


def file(path: str, content: Content | bytes = b"", mode: int = 0o644, owner: str = "demo") -> Entry:
    data = LiteralContent(content) if isinstance(content, bytes) else content
    return Entry(path, FILE, mode, data, owner=owner)


def spliced(**members: bytes) -> dict[str, Content]:
    """The contents of a wheel's deflated members."""
    archive = open_members(members)
    return {member.name: archive.content(member) for member in archive.members}


def noise(size: int) -> bytes:
    return b"".join(sha256(b"%d" % number).digest() for number in range(size // 32 + 1))[:size]


def written(
    entries: Sequence[Entry],
    compression: Compression = Compression.SPLICE,
    *,
    epoch: int = 0,
    hash_files: bool = False,
) -> tuple[WrittenLayer, bytes]:
    blob = bytearray()
    layer = write_layer(entries, epoch=epoch, compression=compression, write=blob.extend, hash_files=hash_files)
    assert (layer.digest, layer.size) == (Digest.of(bytes(blob)), len(blob))
    return layer, bytes(blob)


def members_of(blob: bytes) -> list[bytes]:
    """The gzip members of a blob, uncompressed."""
    found = []
    while blob:
        inflater = zlib.decompressobj(31)
        found.append(inflater.decompress(blob))
        assert inflater.eof
        blob = inflater.unused_data
    return found


# Arranging


def test_entries_are_sorted_by_raw_bytes_with_their_parents_first() -> None:
    paths = ["opt/é", "opt/z", "opt/a/b", "opt/a.py", "opt/a-b", "opt/Z"]
    assert [entry.path for entry in arrange(map(file, paths))] == [
        "opt", "opt/Z", "opt/a", "opt/a-b", "opt/a.py", "opt/a/b", "opt/z", "opt/é",
    ]  # fmt: skip


def test_bytes_beyond_the_first_plane_sort_after_it_as_utf_8_does() -> None:
    """UTF-16 order, as JSON canonicalisation and Windows have it, is another one."""
    assert [entry.path for entry in arrange(map(file, ["\U0001f600", "\uffee"]))] == ["\uffee", "\U0001f600"]


def test_missing_parents_are_directories_of_mode_0755() -> None:
    folder, subfolder, _ = arrange([file("opt/env/a")])
    assert folder == Entry("opt", DIRECTORY, 0o755, owner="envcap")
    assert subfolder == Entry("opt/env", DIRECTORY, 0o755, owner="envcap")


def test_a_parent_that_is_there_is_kept() -> None:
    own = Entry("var/tmp", DIRECTORY, 0o1777)
    assert arrange([file("var/tmp/x"), own])[1] is own


@pytest.mark.parametrize(
    "other",
    [
        file("a", b"two"),
        file("a", b"other length"),
        file("a", b"one", mode=0o755),
        Entry("a", SYMLINK, 0o777, target="b"),
        replace(file("a", b"one"), uid=1),
        replace(file("a", b"one"), gid=1),
    ],
)
def test_one_path_of_two_owners_must_be_the_same_file(other: Entry) -> None:
    other = replace(other, owner="second")
    with pytest.raises(BuildError, match=r"demo and second both bring 'a', and they differ"):
        arrange([file("a", b"one"), other])


def test_equal_entries_of_two_owners_are_one() -> None:
    one, other = file("a", b"x"), replace(file("a", Cut(b"x", 1)), owner="second")
    assert arrange([one, other]) == [one]


@pytest.mark.parametrize("parent", [file("lib", b"x"), Entry("lib", SYMLINK, 0o777, target="usr/lib")])
def test_nothing_lies_below_a_file_or_link(parent: Entry) -> None:
    with pytest.raises(BuildError, match=r"demo: 'lib/x/y' lies below 'lib', not a folder|'lib/x' lies below"):
        arrange([file("lib/x/y"), parent])


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "..", "../x", "a/../b", "a/..", ".", "./a", "a//b", "a/", ".wh.a", "a/.wh..wh..opq", "a\0b"],
)
def test_a_path_that_leaves_the_root_or_deletes_is_refused(path: str) -> None:
    with pytest.raises(BuildError, match="is no path for a layer"):
        arrange([file(path)])


@pytest.mark.parametrize("path", ["...", "a/..b", ".a", "a.wh.b", ".wh", "..a/b", "a/.b/c."])
def test_dots_in_names_are_fine(path: str) -> None:
    assert arrange([file(path)])[-1].path == path


# Writing


def test_an_empty_layer_is_a_trailer() -> None:
    layer, blob = written([])
    assert blob == stored_member(bytes(10240))
    assert layer == WrittenLayer(
        diff_id=Digest.of(bytes(10240)), digest=Digest.of(blob), size=len(blob), tar_size=10240
    )


def test_a_tar_is_headers_contents_padding_and_trailer() -> None:
    entries = [file("a", b"x" * 513), Entry("b", SYMLINK, 0o777, target="a")]
    tar = tar_header(entries[0], epoch=3) + b"x" * 513 + padding(513) + tar_header(entries[1], epoch=3)
    tar += trailer(len(tar))
    for compression in Compression:
        layer, blob = written(entries, compression, epoch=3)
        assert gzip.decompress(blob) == tar
        assert (layer.diff_id, layer.tar_size) == (Digest.of(tar), len(tar))


def test_a_whole_layer_has_these_bytes() -> None:
    entries = arrange([file("opt/env/a.py", b"import sys\n"), Entry("opt/env/lib64", SYMLINK, 0o777, target="lib")])
    splice, _ = written(entries, Compression.SPLICE)
    small, _ = written(entries, Compression.LIBDEFLATE)
    assert (
        str(splice.diff_id)
        == str(small.diff_id)
        == "sha256:9fd19aff9de01ab0ed1d0d78a48f26b0f233982668d147707e2d057004012118"
    )
    assert (str(splice.digest), splice.size) == (
        "sha256:9ccd6f70227344bd3afc5acf307b46680f0ae4209108f05a7e8da41aa5928eef",
        10263,
    )
    assert (str(small.digest), small.size) == (
        "sha256:069ca40816ba80641648cb07c1a58c2164551623d2241dd87efef5ad7b3c780e",
        181,
    )


def test_a_spliced_member_is_the_wheel_s_own_stream() -> None:
    data = b"def f():\n    return 1\n" * 100
    entry = file("a", spliced(a=data)["a"])
    _, blob = written([entry])
    header = tar_header(entry, epoch=0)
    end = padding(len(data))
    end += trailer(len(header) + len(data) + len(end))
    member = HEADER + deflated(data) + member_trailer(zlib.crc32(data), len(data))
    assert blob == stored_member(header) + member + stored_member(end)


@pytest.mark.parametrize(("size", "members"), [(0, 1), (1, 1), (299, 1), (300, 3), (301, 3)])
def test_a_file_of_300_bytes_or_more_is_a_member_of_its_own(size: int, members: int) -> None:
    data = noise(size)
    _, blob = written([file("a", spliced(a=data)["a"])])
    assert len(members_of(blob)) == members


def test_a_stored_member_of_a_wheel_is_not_spliced() -> None:
    archive = open_members({"a": noise(5000)}, Packing(stored=frozenset({"a"})))
    _, blob = written([file("a", archive.content(archive.members[0]))])
    assert len(members_of(blob)) == 1


def test_a_member_with_a_data_descriptor_is_spliced_from_the_directory_s_facts() -> None:
    data = noise(5000)
    archive = open_members({"a": data}, Packing(described=frozenset({"a"})))
    plain = written([file("a", spliced(a=data)["a"])])
    assert written([file("a", archive.content(archive.members[0]))]) == plain


def test_stored_members_hold_a_mib_of_tar_at_most() -> None:
    _, blob = written([file("a", noise(3 * CHUNK_SIZE))])
    assert [len(member) for member in members_of(blob)][:3] == [CHUNK_SIZE] * 3


def test_libdeflate_members_hold_4_mib_of_tar() -> None:
    data = noise(2 * BLOCK + 5)
    entry = file("a", data)
    tar = tar_header(entry, epoch=0) + data + padding(len(data))
    tar += trailer(len(tar))
    _, blob = written([entry], Compression.LIBDEFLATE)
    assert blob == b"".join(libdeflate_member(tar[start : start + BLOCK]) for start in range(0, len(tar), BLOCK))


def test_many_libdeflate_members_stay_in_order() -> None:
    data = noise(BLOCK + 7) * 5
    _, blob = written([file("a", data)], Compression.LIBDEFLATE)
    assert data in gzip.decompress(blob)


def test_a_tar_that_ends_with_a_whole_block_has_no_empty_member() -> None:
    layer, blob = written([file("a", bytes(5 * BLOCK - 512 - 1024))], Compression.LIBDEFLATE)
    assert layer.tar_size == 5 * BLOCK
    assert [len(member) for member in members_of(blob)] == [BLOCK] * 5


@dataclass(frozen=True, slots=True)
class Late:
    """A deflated member whose first raw bytes inflate to nothing, and whose last bytes come of no raw ones."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def crc(self) -> int:
        return zlib.crc32(self.data)

    def chunks(self) -> Iterator[bytes]:
        yield self.data

    def spliced_chunks(self) -> Iterator[tuple[bytes, bytes]]:
        raw = deflated(self.data)
        yield raw[:3], b""
        yield raw[3:], self.data[:200]
        yield b"", self.data[200:]


def test_raw_and_inflated_bytes_need_not_come_together() -> None:
    data = noise(1000)
    late, plain = (written([file("a", content)], hash_files=True) for content in (Late(data), spliced(a=data)["a"]))
    assert late == plain


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 299, 300, 511, 512, 70_000, CHUNK_SIZE, 3 * CHUNK_SIZE + 1]), max_size=5),
    lengths=st.lists(st.integers(1, 2 * CHUNK_SIZE).filter(lambda n: n > 2000), min_size=5, max_size=5),
    compression=st.sampled_from(Compression),
)
def test_how_content_is_cut_does_not_matter(sizes: list[int], lengths: list[int], compression: Compression) -> None:
    data = noise(3 * CHUNK_SIZE + 1)
    whole = [file(f"f{n}", data[:size]) for n, size in enumerate(sizes)]
    cut = [file(f"f{n}", Cut(data[:size], lengths[n])) for n, size in enumerate(sizes)]
    assert written(cut, compression) == written(whole, compression)


def test_files_are_hashed_where_asked_for() -> None:
    data = noise(1000)
    entries = [
        file("a", b"x", owner="one"), file("b", spliced(b=data)["b"], owner="two"), Entry("c", DIRECTORY, 0o755),
    ]  # fmt: skip
    for compression in Compression:
        layer, _ = written(entries, compression, hash_files=True)
        assert [(row.owner, row.path, row.sha256, row.size) for row in layer.files] == [
            ("one", "a", sha256(b"x").hexdigest(), 1),
            ("two", "b", sha256(data).hexdigest(), 1000),
        ]
    assert written(entries)[0].files == ()


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("compression", Compression)
def test_a_file_of_another_length_than_said_is_refused(size: int, compression: Compression) -> None:
    with pytest.raises(BuildError, match=rf"demo: 'a' has 3 bytes \(expected {size}\)"):
        write_layer([file("a", Lying(b"123", size))], epoch=0, compression=compression, write=lambda data: None)


@pytest.mark.parametrize("field", ["crc", "size"])
def test_a_damaged_member_is_refused(field: str) -> None:
    data = noise(1000)
    wrong: dict[str, int | bytes] = {field: 1 if field == "crc" else 999}
    archive = open_zip(
        MemoryReader(build_zip(FakeMember(name=b"a", data=data, local=wrong, central=wrong))), name="a.whl"
    )
    entry = file("a", archive.content(archive.members[0]))
    for write in (None, lambda chunk: None):
        with pytest.raises(ArchiveError, match=r"a\.whl: member 'a'"):
            write_layer([entry], epoch=0, compression=Compression.SPLICE, write=write)


def test_a_bomb_inflates_within_bounds() -> None:
    """A member of zeros is a thousand times its stream; its pairs come a chunk at a time."""
    data = bytes(9_000_000)
    layer, blob = written([file("a", spliced(a=data)["a"])])
    assert len(blob) < 40_000
    assert layer.tar_size > len(data)


# Properties

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='/\\:"'), min_size=1, max_size=60)
SAFE = NAMES.filter(lambda name: name not in {".", ".."} and not name.startswith(".wh.") and len(name.encode()) < 200)


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Entries of a tree: distinct paths, nothing below a file."""
    folders = draw(st.lists(st.lists(SAFE, min_size=1, max_size=3).map(tuple), max_size=4))
    inner = {folder[:depth] for folder in folders for depth in range(1, len(folder) + 1)}
    leaves = draw(st.lists(st.tuples(st.sampled_from([(), *folders]), SAFE), max_size=8, unique=True))
    paths = [path for folder, name in leaves if (path := (*folder, name)) not in inner]
    bodies = st.binary(max_size=400) | st.integers(290, 3000).map(noise)
    entries = []
    for path in dict.fromkeys(paths):
        mode = draw(st.sampled_from([0o644, 0o755]))
        if draw(st.booleans()):
            data = draw(bodies)
            content: Content = draw(st.sampled_from([LiteralContent(data), spliced(a=data)["a"]]))
            entries.append(Entry("/".join(path), FILE, mode, content, owner="demo"))
        else:
            entries.append(Entry("/".join(path), SYMLINK, 0o777, target=draw(SAFE)))
    return entries


def facts(entry: Entry) -> tuple[str, EntryKind, int, str, bytes]:
    return entry.path, entry.kind, entry.mode, entry.target, b"".join(entry.content.chunks())


@settings(max_examples=60, deadline=None)
@given(trees())
def test_every_tree_is_read_back_by_tarfile_and_by_the_strict_reader(entries: list[Entry]) -> None:
    arranged = arrange(entries)
    layer, blob = written(arranged)
    tar = gzip.decompress(blob)
    assert layer.diff_id == Digest.of(tar)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        theirs = [
            (info.name, info.mode, info.linkname, archive.extractfile(info).read() if info.isreg() else b"")  # type: ignore[union-attr]  # a regular file has content
            for info in archive
        ]
    assert theirs == [(path, mode, target, data) for path, _, mode, target, data in map(facts, arranged)]
    with tempfile.TemporaryFile() as spool:
        ours = read_tar(io.BytesIO(tar), name="layer", spool=spool)
        found = [(m.path, m.kind, m.mode, m.target, b"".join(m.content.chunks())) for m in ours]
    assert found == [facts(entry) for entry in arranged]


@settings(max_examples=60, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_order_does_not_matter(entries: list[Entry], random: st.DataObject) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # it is a random.Random
    assert written(arrange(shuffled)) == written(arrange(entries))


@settings(max_examples=40, deadline=None)
@given(trees())
def test_the_diff_id_depends_on_no_compression(entries: list[Entry]) -> None:
    arranged = arrange(entries)
    layers = [written(arranged, compression, hash_files=True)[0] for compression in Compression]
    layers.append(write_layer(arranged, epoch=0, compression=Compression.SPLICE, write=None, hash_files=True))
    assert len({(layer.diff_id, layer.tar_size, layer.files) for layer in layers}) == 1
    assert (layers[-1].digest, layers[-1].size) == (None, 0)
