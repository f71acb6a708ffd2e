"""DICOM files for tests, made with pydicom."""

from __future__ import annotations

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
  DigitalXRayImageStorageForPresentation,
  ExplicitVRLittleEndian,
  generate_uid,
)


def dataset(pixels, bits=None, **elements):
  """Returns a data set of gray (h, w), (frames, h, w) or RGB (h, w, 3)."""
  found = pydicom.Dataset()
  found.file_meta = FileMetaDataset()
  found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
  found.SOPClassUID = DigitalXRayImageStorageForPresentation
  found.SOPInstanceUID = generate_uid()
  found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
  found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
  colour = pixels.shape[-1] == 3
  found.SamplesPerPixel = 3 if colour else 1
  found.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
  if colour:
    found.PlanarConfiguration = 0
  if pixels.ndim == 3 and not colour:
    found.NumberOfFrames = len(pixels)
  found.Rows, found.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
  found.BitsAllocated = pixels.dtype.itemsize * 8
  found.BitsStored = bits or found.BitsAllocated
  found.HighBit = found.BitsStored - 1
  found.PixelRepresentation = int(pixels.dtype.kind == "i")
  found.PixelData = pixels.tobytes()
  found["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 else "OB"
  for name, value in elements.items():
    setattr(found, name, value)
  return found


def save(path, found):
  path.parent.mkdir(parents=True, exist_ok=True)
  found.save_as(path, enforce_file_format=True)
  return path


def lut(values, first, bits):
  """Returns a lookup table's item."""
  item = pydicom.Dataset()
  item.add_new("LUTDescriptor", "US", [len(values), first, bits])
  item.add_new("LUTData", "US", [int(value) for value in values])
  return item


def item(**elements):
  """Returns a sequence of one item."""
  found = pydicom.Dataset()
  for name, value in elements.items():
    setattr(found, name, value)
  return pydicom.Sequence([found])


def noise(*shape, high=4096, kind=np.uint16):
  return np.random.default_rng(0).integers(0, high, shape).astype(kind)
