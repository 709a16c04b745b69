"""Random access to bytes in memory, as a server would give it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class MemoryReader:
    """A `RandomAccess` over bytes that notes what was asked for."""

    data: bytes
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        self.reads.append((offset, length))
        return self.data[offset : offset + length]
