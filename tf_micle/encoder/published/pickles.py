"""Refusal of pickles; does not import TensorFlow."""

from __future__ import annotations

import json
import shlex

from tf_micle.encoder.published.files import FORMATS, WeightsError


def refusal(path):
  """Returns the `WeightsError` of a pickle, which says how to convert it."""
  target = f"{path.rpartition('.')[0] or path}.safetensors"
  line = (
    "import torch, safetensors.torch as s; "
    f'd = torch.load({json.dumps(path)}, map_location="cpu", '
    "weights_only=True); "
    'd = next((d[k] for k in ("state_dict", "model", "teacher") if k in d), d);'
    " s.save_file({k: v.contiguous() for k, v in d.items() "
    f"if torch.is_tensor(v)}}, {json.dumps(target)})"
  )
  return WeightsError(
    f"Expected {FORMATS}. Received: {path}, a pickle or an archive of one, "
    "which may run any code when it is read. Where PyTorch is installed, "
    f"convert it: python -c {shlex.quote(line)}"
  )
