"""Warm-up requests: TF Serving answers them when it loads a model.

The file is a TFRecord of `PredictionLog` messages (tensorflow/serving,
`apis/prediction_log.proto`). Their package is not needed to write them: each is
a nest of length-delimited fields. A test reads them back by that package.
"""

from __future__ import annotations

import os

import tensorflow as tf

from tf_micle.serving import saved_model

FILE_NAME = os.path.join("assets.extra", "tf_serving_warmup_requests")
_BATCH_SIZES = (1, 8)

# Numbers of the fields in the messages.
_LOG_PREDICT = 6  # PredictionLog.predict_log
_PREDICT_REQUEST = 1  # PredictLog.request
_MODEL_SPEC, _INPUTS = 1, 2  # PredictRequest
_NAME, _SIGNATURE = 1, 3  # ModelSpec
_KEY, _VALUE = 1, 2  # an entry of a map


def write(export_dir, signatures, *, model_name, image_size):
  """Writes requests of two batch sizes for each signature.

  Args:
    export_dir: folder of a SavedModel.
    signatures: names of its signatures.
    model_name: that the server will know the model by.
    image_size: of a view; the images are noise of a little more.
  """
  path = os.path.join(export_dir, FILE_NAME)
  os.makedirs(os.path.dirname(path))
  with tf.io.TFRecordWriter(path) as file:
    for signature in signatures:
      for size in _BATCH_SIZES:
        inputs = _inputs(signature, size, image_size)
        file.write(_prediction_log(model_name, signature, inputs))


def _inputs(signature, count, image_size):
  """Returns a dict of name to tensor, as the signature takes them."""
  if signature == saved_model.IMAGES:
    return {"images": tf.fill((count, image_size, image_size, 3), 0.5)}
  side = image_size + image_size // 4
  noise = tf.random.stateless_uniform((side, side, 3), (0, 0), 0, 256, tf.int32)
  noise = tf.cast(noise, tf.uint8)
  kinds = [tf.io.encode_jpeg(noise).numpy(), tf.io.encode_png(noise).numpy()]
  inputs = {"images": tf.constant([kinds[i % 2] for i in range(count)])}
  if signature == saved_model.PATIENTS:
    ids = [f"patient-{i // 2}" for i in range(count)]
    inputs["patient_ids"] = tf.constant(ids)
  return inputs


def _prediction_log(model_name, signature, inputs):
  spec = _field(_NAME, model_name.encode()) + _field(
    _SIGNATURE, signature.encode()
  )
  request = _field(_MODEL_SPEC, spec)
  for name, tensor in inputs.items():
    value = tf.make_tensor_proto(tensor).SerializeToString()
    entry = _field(_KEY, name.encode()) + _field(_VALUE, value)
    request += _field(_INPUTS, entry)
  return _field(_LOG_PREDICT, _field(_PREDICT_REQUEST, request))


def _field(number, payload):
  """Returns a length-delimited field: tag, length, bytes."""
  return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value):
  octets = bytearray()
  while value > 127:
    octets.append(value & 127 | 128)
    value >>= 7
  return bytes(octets + bytes([value]))
