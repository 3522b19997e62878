"""A disk of which only what was written takes memory."""

from __future__ import annotations

BLOCK = 65536


class Disk:
    """`size` bytes, all zero at first. What is written is there after the power went: every command that writes to it
    ends with fsync."""

    def __init__(self, size: int, *, path: str = "/dev/vda", serial: str = "") -> None:
        self.size = size
        self.path = path
        self.serial = serial
        self._blocks: dict[int, bytearray] = {}

    def write(self, offset: int, data: bytes) -> None:
        """Raises ValueError beyond the end, as a real one refuses."""
        if offset < 0 or offset + len(data) > self.size:
            raise ValueError(f"{len(data)} bytes at {offset} are not on a disk of {self.size}")
        position = 0
        while position < len(data):
            number, start = divmod(offset + position, BLOCK)
            piece = data[position : position + BLOCK - start]
            self._blocks.setdefault(number, bytearray(BLOCK))[start : start + len(piece)] = piece
            position += len(piece)

    def zero(self, offset: int, size: int) -> None:
        """Zeros from `offset` on, without the memory for them."""
        for number, start, stop in self._touched(offset, size):
            if stop - start == BLOCK:
                del self._blocks[number]
            else:
                self._blocks[number][start:stop] = bytes(stop - start)

    def read(self, offset: int, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            number, start = divmod(offset + len(found), BLOCK)
            block = self._blocks.get(number)
            count = min(BLOCK - start, size - len(found))
            found += bytes(count) if block is None else block[start : start + count]
        return bytes(found)

    def filled(self, offset: int, size: int) -> bool:
        """Whether there is anything but zeros."""
        return any(any(self._blocks[number][start:stop]) for number, start, stop in self._touched(offset, size))

    def _touched(self, offset: int, size: int) -> list[tuple[int, int, int]]:
        """The blocks with something in them between `offset` and its end: number, and from where to where in it."""
        end = offset + size
        return [
            (number, max(offset - number * BLOCK, 0), min(end - number * BLOCK, BLOCK))
            for number in self._blocks
            if number * BLOCK < end and (number + 1) * BLOCK > offset
        ]
