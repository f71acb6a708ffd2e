"""Features as an .npz, written from files without holding them in memory."""

from __future__ import annotations

import os
import shutil
import zipfile

import numpy as np

from tf_micle.system.written_whole import written_whole


def write(path, arrays):
  """Writes what `numpy.load` reads; takes the place of `path` when complete.

  Args:
    path: the .npz file.
    arrays: dict of name to (path of the raw bytes, dtype, shape).
  """
  os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
  with (
    written_whole(path, binary=True) as whole,
    zipfile.ZipFile(whole, "w", allowZip64=True) as archive,
  ):
    for name, (source, dtype, shape) in arrays.items():
      header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": tuple(shape),
      }
      with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        with open(source, "rb") as file:
          shutil.copyfileobj(file, member)
