"""Published weights give the features that their own code gives."""

import pathlib
import tarfile

import numpy as np
import published
import pytest
import tensorflow as tf

from tf_micle.encoder import heads, resnet
from tf_micle.encoder.published import files, opening, weights
from tf_micle.runs import initial_weights
from tf_micle.system.input_error import InputError

SHARED = pathlib.Path(__file__).parents[2] / "shared"
SIMCLR = SHARED / "fixtures" / "simclr_tf2_resnet18"
SAVED_MODELS = SHARED / "fixtures" / "simclr_tf2_saved_models"
IMAGENET = SHARED / "weights" / "resnet50_imagenet.h5"
ORACLE = {"depth": 50, "width": 4}


def taken(path):
  """Builds the network that a file tells, with its weights; returns parts."""
  found = opening.open_weights(path)
  flags = found.flags
  encoder = resnet.resnet(
    depth=flags["resnet_depth"],
    width_multiplier=flags["width_multiplier"],
    sk_ratio=flags["sk_ratio"],
    variant=flags["resnet_variant"],
    small_stem=weights.has_small_stem(found.shapes),
  )
  width = encoder.output_shape["final_avg_pool"][-1]
  parts = {"encoder": encoder}
  if "proj_head_mode" in flags:
    parts["projection_head"] = heads.projection_head(
      width,
      mode=flags["proj_head_mode"],
      num_layers=flags["num_proj_layers"],
      out_dim=flags["proj_out_dim"],
    )
  if found.classes:
    parts["head"] = heads.linear_head(found.classes)
    parts["head"].build((None, width))
  initial_weights.initialise(path, parts)
  return parts


def features(parts, images):
  return parts["encoder"](images, training=False)["final_avg_pool"]


def simclr_file(form, tmp_path):
  """Returns a fixture's path, its network's flags and what it gives."""
  if form == "checkpoint":
    if not SIMCLR.exists():
      pytest.skip(f"no fixtures in {SIMCLR}")
    return SIMCLR / "ckpt-7", SIMCLR / "expected.npz"
  archive = SAVED_MODELS / f"{form}.tgz"
  if not archive.exists():
    pytest.skip(f"no fixtures in {SAVED_MODELS}")
  with tarfile.open(archive) as file:
    file.extractall(tmp_path)
  (folder,) = tmp_path.iterdir()
  expected = SAVED_MODELS / f"{form}_expected.npz"
  return folder, expected if expected.exists() else SIMCLR / "expected.npz"


@pytest.mark.parametrize(
  "form", ["checkpoint", "resnet18_cifar_stem", "resnet50_sk"]
)
def test_simclr_gives_its_features_projections_and_logits(form, tmp_path):
  path, expected = simclr_file(form, tmp_path)
  parts = taken(path)
  expected = np.load(expected)
  images = expected.get("images")
  if images is None:
    images = expected["images_uint8"].astype(np.float32) / 255
  h = features(parts, images)
  z, _ = parts["projection_head"](h, training=False)
  found = {"features": h, "projection": z, "logits": parts["head"](h)}
  for name, value in found.items():
    np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-4)
    largest = np.abs(expected[name]).max()
    assert np.abs(value - expected[name]).max() < 1e-5 * largest


def test_simclr_tells_its_network_step_and_classes(tmp_path):
  path, _ = simclr_file("checkpoint", tmp_path)
  found = opening.open_weights(path)
  assert found.flags == {
    **{"resnet_depth": 18, "width_multiplier": 1.0, "sk_ratio": 0.0},
    **{"resnet_variant": "simclr", "proj_head_mode": "nonlinear"},
    **{"num_proj_layers": 3, "proj_out_dim": 128},
  }
  assert (found.step, found.classes, found.left) == (7, 10, ())
  assert weights.has_small_stem(found.shapes)
  assert opening.open_weights(path.parent).shapes == found.shapes
  path, _ = simclr_file("resnet50_sk", tmp_path)
  assert opening.open_weights(path).flags["sk_ratio"] == 0.0625


@pytest.mark.skipif(not IMAGENET.exists(), reason=f"no weights at {IMAGENET}")
def test_keras_gives_its_features_and_probabilities():
  parts = taken(IMAGENET)
  expected = np.load(IMAGENET.with_name("resnet50_imagenet_expected.npz"))
  h = features(parts, expected["images_uint8"].astype(np.float32) / 255)
  np.testing.assert_allclose(h, expected["features"], atol=1e-4)
  chances = tf.nn.softmax(parts["head"](h))
  np.testing.assert_allclose(chances, expected["probabilities"], atol=1e-4)


def images(size, n=2):
  return np.random.default_rng(size).random((n, size, size, 3), np.float32)


def assert_gives(path, model, sizes=(64, 97)):
  """A file's weights give what the model gives that they are of."""
  parts = taken(path)
  top = tf.keras.Model(model.input, model.get_layer("avg_pool").output)
  for size in sizes:
    expected = top(images(size), training=False)
    assert np.abs(expected).max() > 0.1
    found = features(parts, images(size))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  return parts


def assert_same(path, other, but="none"):
  """Two files hold the same, but for the part `but`."""
  found, expected = opening.open_weights(path), opening.open_weights(other)
  assert found.flags == expected.flags
  names = {name for name in expected.tensors if not name.startswith(f"{but}/")}
  assert found.tensors.keys() == names
  for name in names:
    np.testing.assert_array_equal(
      found.tensors[name].read(), expected.tensors[name].read(), err_msg=name
    )


@pytest.fixture(scope="module")
def keras_model():
  return published.network("keras", classes=6, **ORACLE)


@pytest.fixture(scope="module")
def torch_model():
  return published.network("torch", classes=6, **ORACLE)


@pytest.mark.parametrize(
  "form", ["named.h5", "numbered.weights.h5", "whole.h5", "inner.h5"]
)
def test_each_of_kerass_forms(form, keras_model, tmp_path):
  path = str(tmp_path / form)
  if form == "whole.h5":
    keras_model.save(path)
  elif form == "inner.h5":
    outer = tf.keras.Sequential([keras_model, tf.keras.layers.Dense(3)])
    outer.save_weights(path)
  else:
    keras_model.save_weights(path)
  if form == "named.h5":
    parts = assert_gives(path, keras_model)
    chances = tf.nn.softmax(parts["head"](features(parts, images(64))))
    np.testing.assert_allclose(chances, keras_model(images(64)), atol=1e-5)
  else:
    named = str(tmp_path / "named.h5")
    keras_model.save_weights(named)
    assert_same(path, named)


@pytest.mark.parametrize(
  "prefix", ["", "module.encoder_q.", "module.", "backbone.", "teacher."]
)
def test_pytorchs_names_and_prefixes(prefix, torch_model, tmp_path):
  copy = published.torch_arrays(published.network("torch", **ORACLE, seed=1))
  other = {"module.encoder_q.": "module.encoder_k.", "teacher.": "student."}
  others = {"module.queue": np.zeros((128, 3), np.float32)}
  if prefix in other:
    others.update({other[prefix] + k: v for k, v in copy.items()})
  path = published.write_torch(
    tmp_path / "x.safetensors", torch_model, prefix, **others
  )
  if not prefix:
    parts = assert_gives(path, torch_model)
    assert parts["head"].units == 6
  plain = published.write_torch(tmp_path / "y.safetensors", torch_model)
  assert_same(path, plain)
  assert "module.queue" in opening.open_weights(path).left


def test_a_list_of_children_has_numbers_for_names(torch_model, tmp_path):
  """nn.Sequential(*list(resnet.children())[:-1]), as lightly's examples."""
  names = ["conv1", "bn1", "relu", "maxpool", *(f"layer{n}" for n in "1234")]
  numbered = {}
  for key, array in published.torch_arrays(torch_model).items():
    first, _, rest = key.partition(".")
    if first != "fc":
      numbered[f"backbone.{names.index(first)}.{rest}"] = array
  path = str(tmp_path / "x.safetensors")
  published.save_file(numbered, path)
  plain = published.write_torch(tmp_path / "y.safetensors", torch_model)
  assert_same(path, plain, but="head")


def test_basic_blocks_of_pytorch_have_no_projection_at_first(tmp_path):
  model = published.network("torch", depth=18, width=4)
  path = published.write_torch(tmp_path / "x.safetensors", model)
  parts = assert_gives(path, model)
  assert not parts["encoder"].get_layer("block_group1_0").shortcut


def test_half_precision_is_read_as_float32(torch_model, tmp_path):
  path = str(tmp_path / "half.safetensors")
  arrays = published.torch_arrays(torch_model)
  published.save_file(
    {k: v.astype(np.float16) for k, v in arrays.items()}, path
  )
  found = opening.open_weights(path)
  kernel = found.tensors[weights.INITIAL_KERNEL].read()
  assert kernel.dtype == np.float32
  expected = torch_model.get_layer("conv1_conv").kernel
  np.testing.assert_allclose(kernel, expected, atol=1e-3)


@pytest.mark.parametrize(
  "form", ["h5", "safetensors", "checkpoint", "saved_model"]
)
def test_remote_files_are_read_by_tensorflow(
  form, keras_model, torch_model, tmp_path
):
  """TensorFlow's ram:// stands in for gs://."""
  if form == "checkpoint":
    local, _ = simclr_file("checkpoint", tmp_path)
    names = [f"{local.name}.index", f"{local.name}.data-00000-of-00001"]
    local = local.parent
  elif form == "saved_model":
    local, _ = simclr_file("resnet18_cifar_stem", tmp_path)
    names = ["variables/variables.index", "saved_model.pb"]
    names.append("variables/variables.data-00000-of-00001")
  elif form == "h5":
    local, names = tmp_path, ["x.h5"]
    keras_model.save_weights(str(tmp_path / "x.h5"))
  else:
    local, names = tmp_path, ["x.safetensors"]
    published.write_torch(tmp_path / "x.safetensors", torch_model)
  for name in names:
    tf.io.gfile.copy(
      str(local / name), f"ram://weights/{form}/{name}", overwrite=True
    )
  path = "" if form == "saved_model" else names[0].removesuffix(".index")
  here = opening.open_weights(str(local / path))
  there = opening.open_weights(f"ram://weights/{form}/{path}")
  assert there.shapes == here.shapes
  name = weights.INITIAL_KERNEL
  np.testing.assert_array_equal(
    there.tensors[name].read(), here.tensors[name].read()
  )
  assert files.digest(there.files) == files.digest(here.files)


def saved_model(folder, names):
  """Writes a SavedModel of variables of these names."""
  root = tf.train.Checkpoint()
  root.variables = [tf.Variable([1.0], name=name) for name in names]
  tf.saved_model.save(root, str(folder))
  return folder


def bit_model(tmp_path):
  names = ["resnet/root_block/standardized_conv2d/kernel", "a/group_norm/beta"]
  return saved_model(tmp_path / "bit", names)


def pickle_of(tmp_path):
  path = tmp_path / "moco v2.pth.tar"
  path.write_bytes(b"PK\x03\x04 and so on")
  return path


def old_pickle(tmp_path):
  path = tmp_path / "old.pt"
  path.write_bytes(b"\x80\x02\x8a and so on")
  return path


def preactivated(tmp_path):
  path = tmp_path / "v2.h5"
  x = y = tf.keras.Input((8, 8, 3))
  y = tf.keras.layers.BatchNormalization(name="conv2_block1_preact_bn")(y)
  tf.keras.Model(x, y).save_weights(str(path))
  return path


def another(tmp_path):
  path = tmp_path / "se.safetensors"
  arrays = published.torch_arrays(published.network("torch", **ORACLE))
  arrays["layer1.0.se.fc1.weight"] = np.zeros((2, 2), np.float32)
  published.save_file(arrays, str(path))
  return path


def two(tmp_path):
  path = tmp_path / "two.safetensors"
  arrays = published.torch_arrays(published.network("torch", **ORACLE))
  found = {f"{side}.{k}": v for k, v in arrays.items() for side in "ab"}
  published.save_file(found, str(path))
  return path


def no_weights(tmp_path):
  path = tmp_path / "notes.txt"
  path.write_text("ResNet-50, they said")
  return path


def cut(tmp_path):
  path = tmp_path / "cut.h5"
  path.write_bytes(b"\x89HDF\r\n\x1a\n and no more")
  return path


def cut_safetensors(tmp_path):
  path = another(tmp_path)
  path.write_bytes(path.read_bytes()[:-8])
  return path


def of_tensorflow_1(tmp_path):
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    kernel = tf.compat.v1.get_variable("base_model/conv2d/kernel", (1,))
    session.run(kernel.initializer)
    return tf.compat.v1.train.Saver([kernel]).save(
      session, str(tmp_path / "model.ckpt")
    )


@pytest.mark.parametrize(
  ("make", "said"),
  [
    (bit_model, "REMEDIS.*GroupNorm.*BatchNorm"),
    (lambda p: saved_model(p / "x", ["a"]), "without SimCLR's resnet_model"),
    (pickle_of, r"python -c '.*weights_only=True.*moco v2.pth.safetensors"),
    (old_pickle, "pickle.*torch.load"),
    (preactivated, "conv2_block1_preact_bn.*ResNet50V2"),
    (another, r"layer1\.0\.se\.fc1\.weight"),
    (two, r"'a\.', 'b\.'"),
    (no_weights, "none of these"),
    (cut, "damaged"),
    (cut_safetensors, "damaged"),
    (of_tensorflow_1, "TensorFlow 1.*gs://simclr-checkpoints-tf2"),
  ],
)
def test_what_is_not_ours_is_refused_by_name(make, said, tmp_path):
  with pytest.raises(files.WeightsError, match=said):
    opening.open_weights(make(tmp_path))


def test_the_line_that_converts_a_pickle_is_python(tmp_path):
  with pytest.raises(files.WeightsError) as error:
    opening.open_weights(pickle_of(tmp_path))
  line = str(error.value).partition("python -c '")[2].rpartition("'")[0]
  compile(line, "line", "exec")


def test_one_layer_less_or_another_shape_is_a_refusal(torch_model, tmp_path):
  arrays = published.torch_arrays(torch_model)
  del arrays["layer3.1.bn2.weight"]
  arrays["layer4.0.conv3.weight"] = arrays["layer4.0.conv3.weight"][:7]
  path = str(tmp_path / "x.safetensors")
  published.save_file(arrays, path)
  encoder = resnet.resnet(depth=50, width_multiplier=1 / 16, variant="torch")
  before = [v.numpy() for v in encoder.variables]
  with pytest.raises(InputError) as error:
    initial_weights.initialise(path, {"encoder": encoder})
  said = str(error.value)
  assert "2 of 265 variables do not fit" in said
  assert "block_group3_1/bn2/bn/gamma: expected (16,), not in the" in said
  assert "conv3/conv2d/kernel: expected (1, 1, 32, 128), received " in said
  rows = {
    line.split()[0]: line.split()[1:] for line in said.splitlines() if line
  }
  assert rows["encoder/block_group3"] == ["94", "1", "0", "0"]
  for variable, value in zip(encoder.variables, before):
    np.testing.assert_array_equal(variable, value)


def test_a_deeper_file_is_not_taken_for_a_shallower_network(tmp_path):
  model = published.network("torch", depth=34, width=4)
  path = published.write_torch(tmp_path / "x.safetensors", model)
  encoder = resnet.resnet(depth=18, width_multiplier=1 / 16, variant="torch")
  with pytest.raises(InputError, match="block_group1_2.*: not expected"):
    initial_weights.initialise(path, {"encoder": encoder})


def test_another_stem_is_said(tmp_path):
  path, _ = simclr_file("checkpoint", tmp_path)
  encoder = resnet.resnet(depth=18)
  with pytest.raises(InputError, match="--image_size=32 or less"):
    initial_weights.initialise(path, {"encoder": encoder})
