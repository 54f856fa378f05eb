"""The pickle opcodes that the kinds are made of, and a stream that collects them."""

import struct
from functools import lru_cache

# Opcodes of pickle protocol 2; `pickletools` explains each.
MARK, TUPLE, STOP, POP, BUILD, FALSE = b"(", b"t", b".", b"0", b"b", b"\x89"
CALL, CALL1, CALL2, CALL3 = b"R", b"\x85R", b"\x86R", b"\x87R"


def string(text: str) -> bytes:
    """Push a short string."""
    return b"U" + bytes([len(text)]) + text.encode()


FLOAT32 = string("<f4")


def global_name(module: str, name: str) -> bytes:
    """Push a module's attribute."""
    return f"c{module}\n{name}\n".encode()


def put(slot: int) -> bytes:
    """Store the top of the stack in a slot of the memo."""
    return b"q" + bytes([slot])


@lru_cache(1 << 10)
def get(slot: int) -> bytes:
    """Push the content of a slot of the memo."""
    return b"h" + bytes([slot])


def ints(*values: int) -> bytes:
    """Push integers."""
    return b"".join(map(_integer, values))


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if value < 1 << 31 else long(value)


def floating(value: float) -> bytes:
    """Push a floating-point number of 64 bits."""
    return b"G" + struct.pack(">d", value)


def long(value: int) -> bytes:
    """Push an integer of any size."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


@lru_cache(1 << 10)
def tuple_of(*sides: int) -> bytes:
    """Push a tuple of integers."""
    return MARK + ints(*sides) + TUPLE


def call(function: bytes, *arguments: bytes) -> bytes:
    """Push the result of a function."""
    few = {1: CALL1, 2: CALL2, 3: CALL3}.get(len(arguments))
    if few is not None:
        return b"".join([function, *arguments, few])
    return b"".join([function, MARK, *arguments, TUPLE, CALL])


def float32_dtype() -> bytes:
    """Push the dtype of little-endian float32."""
    return global_name("numpy", "dtype") + FLOAT32 + CALL1


class Stream:
    """Collects the bytes of a pickle, and leaves room for array data between them."""

    def __init__(self) -> None:
        """Begin a file."""
        #: Offsets and bytes of everything between the array data.
        self.skeleton: list[tuple[int, bytes]] = []
        #: Bytes so far, from the last room on without those that are pending.
        self.position = 0
        self._pending = bytearray()

    def put(self, *ops: bytes) -> None:
        """Append opcodes."""
        for op in ops:
            self._pending += op

    def tell(self) -> int:
        """Bytes so far."""
        return self.position + len(self._pending)

    def leave(self, length: int) -> int:
        """Leave room for array data and return its offset."""
        self.flush()
        offset = self.position
        self.position += length
        return offset

    def flush(self) -> None:
        """Move what is pending to the skeleton."""
        if self._pending:
            self.skeleton.append((self.position, bytes(self._pending)))
            self.position += len(self._pending)
            self._pending.clear()
