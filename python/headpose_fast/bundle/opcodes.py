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
    return b"".join(b"J" + struct.pack("<i", n) if n < 1 << 31 else long(n) for n in values)


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
    if len(arguments) <= 3:
        return b"".join([function, *arguments, (CALL1, CALL2, CALL3)[len(arguments) - 1]])
    return b"".join([function, MARK, *arguments, TUPLE, CALL])


def keep(slot: int, value: bytes) -> bytes:
    """Keep a value in a slot, and not on the stack."""
    return value + put(slot) + POP


def do(result: bytes) -> bytes:
    """Call a function for what it writes into its last argument."""
    return result + POP


def text(length: int) -> bytes:
    """Push the string of so many bytes that follows."""
    return b"T" + struct.pack("<i", length)


def float32_dtype() -> bytes:
    """Push the dtype of little-endian float32."""
    return call(global_name("numpy", "dtype"), FLOAT32)


def array_state(ndarray: bytes, dtype: bytes, *shape: int) -> bytes:
    """Push an array without data and begin its state, which ends with data, TUPLE and BUILD."""
    return call(ndarray, tuple_of(0), FLOAT32) + MARK + ints(1) + tuple_of(*shape) + dtype + FALSE


class Stream:
    """Collects the bytes of a pickle, and leaves room for array data between them."""

    def __init__(self) -> None:
        """Begin a file."""
        #: Offsets and bytes of everything between the array data.
        self.skeleton: list[tuple[int, bytearray]] = [(0, bytearray())]

    def put(self, *ops: bytes) -> None:
        """Append opcodes."""
        self.skeleton[-1][1].extend(b"".join(ops))

    def tell(self) -> int:
        """Bytes so far."""
        offset, ops = self.skeleton[-1]
        return offset + len(ops)

    def leave(self, length: int) -> int:
        """Leave room for array data and return its offset."""
        offset = self.tell()
        self.skeleton.append((offset + length, bytearray()))
        return offset
