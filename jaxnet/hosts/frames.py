"""Messages as bytes: JSON with its length in front of it."""

import json
import struct
from typing import Any

_MAX_BYTES = 64 << 20


def pack(message: dict[str, Any]) -> bytes:
    """A message as bytes.

    >>> list(unpack(bytearray(pack({"kind": "alive"}))))
    [{'kind': 'alive'}]
    """
    content = json.dumps(message).encode()
    if len(content) > _MAX_BYTES:
        raise ValueError(f"a message of {len(content)} bytes is longer than {_MAX_BYTES}")
    return struct.pack(">I", len(content)) + content


def unpack(buffer: bytearray) -> list[dict[str, Any]]:
    """Take the complete messages from the beginning of a buffer.

    Raises:
        ValueError: bytes that are not a message.
    """
    messages = []
    while len(buffer) >= 4 and len(buffer) >= (end := frame_length(buffer)):
        message = json.loads(bytes(buffer[4:end]))
        del buffer[:end]
        if not isinstance(message, dict):
            raise ValueError("not a JSON object")
        messages.append(message)
    return messages


def frame_length(frame: bytes | bytearray) -> int:
    """Bytes of a message with its length, from its first four bytes.

    Raises:
        ValueError: longer than a message may be.

    >>> frame_length(pack({})) == len(pack({}))
    True
    """
    (length,) = struct.unpack(">I", frame[:4])
    if length > _MAX_BYTES:
        raise ValueError("its length is out of range")
    return 4 + length
