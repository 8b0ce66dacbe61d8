"""Formats without a fixed signature: each is recognised from the structure of its first bytes."""

from __future__ import annotations

import struct

_HDF5 = b"\x89HDF\r\n\x1a\n"
# A user block may come first, of 512 bytes or any larger power of two.
_HDF5_PLACES = (0, 512, 1024, 2048, 4096, 8192)
_OPCODES = b"]})(KJMXUVc\x8a\x88\x89GNq."
_PICKLES_OF_TEXT = (b"(lp0\n", b"(dp0\n", b"ccopy_reg\n_rec", b"cnumpy.core.", b"cnumpy._core.")
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"\0\0\1\0")
_STATA = frozenset(b"ilnoqrs")
# Castagnoli's polynomial, reversed. TFRecord uses this checksum and adds a constant to it.
_CASTAGNOLI, _MASK = 0x82F63B78, 0xA282EAD8


def is_hdf5(head: bytes) -> bool:
    """HDF5, with or without a user block."""
    return any(head.startswith(_HDF5, place) for place in _HDF5_PLACES)


def is_torch_tar(head: bytes) -> bool:
    """Whether a tar archive begins like those of the first versions of torch.save."""
    names = (b"sys_info\0", b"pickle\0", b"tensors\0", b"storages\0")
    return head.startswith(b"ustar", 257) and head.startswith(names)


def is_keras_model(head: bytes) -> bool:
    """HDF5 with a model or weights saved by Keras."""
    return head.startswith(_HDF5) and any(word in head for word in (b"keras_version", b"model_weights"))


def is_pandas_store(head: bytes) -> bool:
    """HDF5 with frames saved by pandas."""
    return head.startswith(_HDF5) and (b"pandas_type" in head or b"PYTABLES_FORMAT_VERSION" in head)


def is_pickle(head: bytes) -> bool:
    """A pickle of any protocol; protocols 4 and 5 begin with a frame.

    Examples
    --------
    >>> import pickle
    >>> [is_pickle(pickle.dumps([0.5], protocol)) for protocol in range(6)]
    [True, True, True, True, True, True]
    """
    if head[:1] == b"\x80":
        return (head[1:2] in (b"\4", b"\5") and head[2:3] in (b"\x95", *_each(_OPCODES))) or (
            head[1:2] in (b"\2", b"\3") and head[2:3] in _each(_OPCODES)
        )
    return head.startswith((*_PICKLES_OF_TEXT, b"]q\0", b"}q\0"))


def is_joblib(head: bytes) -> bool:
    """A pickle followed by its arrays, as joblib lays them out."""
    return is_pickle(head) and b"joblib.numpy_pickle" in head[:256]


def _each(values: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([value]) for value in values)


def is_old_stata(head: bytes) -> bool:
    """Stata before version 13: release, byte order, file type and a zero byte."""
    return len(head) > 100 and head[0] in _STATA and head[1] in (1, 2) and head[2:4] == b"\1\0"


def is_image(head: bytes) -> bool:
    """PNG, JPEG, GIF, TIFF, BMP, ICO and WebP."""
    if head[:2] == b"BM":
        return head[6:10] == bytes(4)
    return head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def is_sound(head: bytes) -> bool:
    """WAV, FLAC and Ogg."""
    return head.startswith((b"fLaC", b"OggS")) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE")


def is_html(head: bytes) -> bool:
    """An HTML page; the case of its first tag does not matter."""
    return head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def is_tfrecord(head: bytes) -> bool:
    """TFRecord: each record begins with its length and a checksum of the length."""
    if len(head) < 12:
        return False
    crc = 0xFFFFFFFF
    for byte in head[:8]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    found: int = struct.unpack("<I", head[8:12])[0]
    return found == ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def is_tensorboard(head: bytes) -> bool:
    """TensorBoard events: TFRecord whose first record names the version of events."""
    return b"brain.Event:" in head[12:64] and is_tfrecord(head)


def is_protobuf(head: bytes) -> bool:
    """ONNX: protobuf with a number in the first field, the version, and text in the second, the producer."""
    if len(head) < 6 or head[0] != 8 or not 0 < head[1] < 32 or head[2] != 0x12:
        return False
    text = head[4 : 4 + head[3]]
    return 0 < head[3] < 64 and len(text) == head[3] and all(32 <= byte < 127 for byte in text)


def is_msgpack(head: bytes) -> bool:
    """Msgpack: a map whose first key is a short text."""
    start = 1 if b"\x81" <= head[:1] <= b"\x8f" else 3 if head[:1] == b"\xde" else 0
    if not start or len(head) < start + 2:
        return False
    length = head[start] - 0xA0 if 0xA1 <= head[start] <= 0xBF else head[start + 1] if head[start] == 0xD9 else 0
    begin = start + 1 + (head[start] == 0xD9)
    key = head[begin : begin + length]
    return length > 0 and len(key) == length and all(32 <= byte < 127 for byte in key)


def is_idx(head: bytes) -> bool:
    """IDX: two zero bytes, a type, a number of axes and their lengths."""
    if len(head) < 8 or head[:2] != b"\0\0" or head[2] not in (8, 9, 11, 12, 13, 14) or not 1 <= head[3] <= 4:
        return False
    return len(head) >= 4 + 4 * head[3] and all(head[4 + 4 * axis] == 0 for axis in range(head[3]))


def idx_line(head: bytes) -> str:
    """Return the line that converts what `is_idx` recognises.

    Examples
    --------
    >>> print(idx_line(bytes([0, 0, 8, 1, 0, 0, 39, 16])))
    import numpy; numpy.save('labels.npy', numpy.fromfile(FILE, '>u1', offset=8).reshape(10000))
    """
    dtype = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}[head[2]]
    sides = struct.unpack_from(f">{head[3]}I", head, 4)
    saved = "labels" if len(sides) == 1 else "logits"
    read = f"numpy.fromfile(FILE, '>{dtype}', offset={4 + 4 * len(sides)}).reshape({', '.join(map(str, sides))})"
    return f"import numpy; numpy.save('{saved}.npy', {read})"


def is_kaldi(head: bytes) -> bool:
    """Kaldi: the name of an utterance, then the marker of a binary matrix or vector."""
    return any(b" \0B" + kind in head[:512] for kind in (b"FM ", b"DM ", b"CM ", b"FV ", b"DV "))


def is_bare_utf16(head: bytes) -> bool:
    """UTF-16 without a byte order mark: every second byte of the text is 0."""
    head = head[: len(head) // 2 * 2][:512]
    if len(head) < 8:
        return False
    return any(
        not any(head[place::2]) and all(byte >= 32 or byte in b"\t\r\n" for byte in head[1 - place :: 2])
        for place in (0, 1)
    )
