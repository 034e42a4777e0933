"""The same image in the encodings (transfer syntaxes) that archives hand out."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless


def in_syntax(ds: FileDataset, syntax: str) -> FileDataset:
    """Encode an uncompressed little-endian image otherwise, in place; returns it.

    RLE and JPEG 2000 (lossless) pixels are packed, big-endian ones swapped. Of any other compression only the label is
    changed, so that the file claims what it is not; native encodings need no more than the label.
    """
    assert ds.file_meta is not None
    if syntax == RLELossless:
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax == JPEG2000Lossless:
        plane = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
        stream = io.BytesIO()
        Image.fromarray(plane).save(stream, format="JPEG2000", irreversible=False, no_jp2=True)
        ds.PixelData = encapsulate([stream.getvalue()])
        ds["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    return ds
