"""Whether a downloaded file is what its catalogue announced: length and multihash."""

import hashlib
from pathlib import Path

_HASHES = {0x11: "sha1", 0x12: "sha256", 0x13: "sha512", 0x16: "sha3_256", 0xD5: "md5"}
"""Codes of multihash (https://github.com/multiformats/multicodec) that catalogues use."""


def find_problem(path: Path, size: int | None, checksum: str | None) -> str | None:
    """What is wrong with a downloaded file, in words; None if nothing is.

    Args:
        path: The file.
        size: Bytes that it should have, where known.
        checksum: Multihash in hexadecimal digits, where known. One of a kind that swath does not
            know says nothing.
    """
    got = path.stat().st_size
    if size is not None and got != size:
        return f"{got} bytes came, the catalogue says {size}"
    name, expected = parse_multihash(checksum or "")
    if name is None:
        return None
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, name)
    if digest.hexdigest() != expected:
        return f"its {name} is not what the catalogue says"
    return None


def parse_multihash(text: str) -> tuple[str | None, str]:
    """The name of the hash, as hashlib has it, and the digest in hexadecimal digits.

    None for the name where swath does not know the hash, or the text is no multihash.
    """
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None, ""
    # The code comes in sevens of bits, the last byte without the high bit; all of ours fit in two.
    code, length = (data[0], 1) if data and data[0] < 0x80 else (0, 2)
    if length == 2 and len(data) > 2:
        code = (data[0] & 0x7F) | data[1] << 7
    digest = data[length + 1 :]
    if code not in _HASHES or not digest or data[length] != len(digest):
        return None, ""
    return _HASHES[code], digest.hex()
