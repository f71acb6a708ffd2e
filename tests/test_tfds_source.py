"""`--dataset=NAME`: a TFDS data set as bags."""

import shlex

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny
from absl import logging

import run
from data.batches.images import ImageBatches
from data.problems import DataError
from data.sources import image_table, tfds_source
from data.views.geometry import ViewOptions

# Image k is of patient k % 5 and of class k % 3; its grey value is 10 k.
IMAGES, PATIENTS, CLASSES = 15, 5, 3


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """Where TFDS keeps a small prepared data set named `grey`."""
  folder = tmp_path_factory.mktemp("tfds")
  features = tfds.features.FeaturesDict(
    {
      "image": tfds.features.Image(shape=(None, None, 3)),
      "label": tfds.features.ClassLabel(num_classes=CLASSES),
      "patient": tfds.features.Text(),
      "patchy": tfds.features.Text(),
      "age": np.int64,
      "weight": np.float32,
    }
  )
  examples = [
    # TFDS wants a key with each example.
    (
      k,
      {
        "image": np.full((16, 16, 3), 10 * k, np.uint8),
        "label": k % CLASSES,
        "patient": f"p{k % PATIENTS}",
        # The patient of some images is not known.
        "patchy": f"p{k % PATIENTS}" if k % PATIENTS else " ",
        "age": k % 2,
        "weight": float(k),
      },
    )
    for k in range(IMAGES)
  ]
  tfds.dataset_builders.store_as_tfds_dataset(
    name="grey",
    version="1.0.0",
    data_dir=folder,
    features=features,
    split_datasets={"train": examples, "validation": examples[:6]},
  )
  return folder


def read(source):
  """Each image's number, label and patient."""
  views = ViewOptions(image_size=8)
  batches = ImageBatches(source, batch_size=4, views=views, unit="image")
  images = [
    (int(view[0, 4, 4, 0]) // 10, int(label[0]))
    for batch in batches.batches().as_numpy_iterator()
    for view, label in zip(batch["views"], batch["label"])
  ]
  table = image_table.read(source)
  assert [label for _, label in images] == list(table.labels)
  assert sorted(table.row) == list(range(IMAGES))
  return [(*image, who) for image, who in zip(images, table.patient_id)]


def test_each_image_is_a_bag_of_one(prepared):
  source = tfds_source.tfds_bags("grey", "train", data_dir=prepared)
  assert (source.num_bags, source.num_images) == (IMAGES, IMAGES)
  assert source.task == "multi_class"
  found = read(source)
  assert sorted(k for k, _, _ in found) == list(range(IMAGES))
  assert all(label == k % CLASSES for k, label, _ in found)
  assert len({who for _, _, who in found}) == IMAGES
  assert not source.patients_known


@pytest.mark.parametrize(("feature", "count"), [("patient", 5), ("age", 2)])
def test_a_named_feature_groups_the_images(prepared, feature, count):
  source = tfds_source.tfds_bags(
    "grey", "train", data_dir=prepared, patient_feature=feature
  )
  assert (source.num_bags, source.num_images) == (count, IMAGES)
  found = read(source)
  assert sorted(k for k, _, _ in found) == list(range(IMAGES))
  whose = {k: key for k, _, key in found}
  assert len(set(whose.values())) == count
  assert all(whose[k] == whose[k % count] for k in whose)
  assert source.patients() == tuple(sorted(set(whose.values())))


def test_images_of_no_known_patient_are_bags_of_their_own(prepared):
  source = tfds_source.tfds_bags(
    "grey", "train", data_dir=prepared, patient_feature="patchy"
  )
  unknown = IMAGES // PATIENTS
  assert source.num_bags == PATIENTS - 1 + unknown
  whose = {k: who for k, _, who in read(source)}
  assert len({whose[k] for k in range(0, IMAGES, PATIENTS)}) == unknown


def test_slices_of_a_split_know_what_they_share(prepared):
  first, last, whole = (
    tfds_source.tfds_bags("grey", split, data_dir=prepared)
    for split in ("train[:40%]", "train[40%:]", "train")
  )
  assert first.num_images == len(first.patients()) == 6
  assert not set(first.patients()) & set(last.patients())
  assert {*first.patients(), *last.patients()} == set(whole.patients())


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("grey", "tset"), "one of .'train', 'validation'.*'tset'"),
    (("grey", "train[5:2]"), "Expected a split of grey with images"),
    (("gray", "train"), "Expected --dataset to name.*'gray'. TFDS says: D"),
    (("a b", "train"), "Expected --dataset to name.*'a b'"),
    (("mnist/", "train"), "Expected --dataset to name.*'mnist/'"),
    (("mnist/cfg", "train"), "TFDS says: BuilderConfig cfg not found"),
    (("../x", "train"), "Expected --dataset to name.*'../x'"),
    (("mnist:9.9.9", "train"), "TFDS says: Dataset mnist cannot be loaded at"),
    (("kubric:x/y", "train"), "Expected --dataset to name.*'kubric:x/y'"),
    (("grey", "train", "surname"), "feature 'surname'"),
    (("grey", "train", "weight"), "'weight' to be one number or text"),
  ],
)
def test_what_is_not_there_is_said(prepared, arguments, message):
  name, split, *feature = arguments
  with pytest.raises(DataError, match=message):
    tfds_source.tfds_bags(
      name,
      split,
      data_dir=prepared,
      patient_feature=feature[0] if feature else None,
    )


def test_what_is_not_prepared_is_told_how_to_be(tmp_path):
  folder = tmp_path / "my data"
  with pytest.raises(ValueError, match="mnist to be prepared in") as caught:
    tfds_source.tfds_bags("mnist", "train", data_dir=folder)
  command = str(caught.value).split("`")[1]
  assert shlex.split(command) == [
    *("tfds", "build", "mnist"),
    f"--data_dir={folder}",
  ]


def test_tfds_does_not_log_each_file_that_it_opens(prepared, caplog):
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.INFO)
  try:
    read(tfds_source.tfds_bags("grey", "train", data_dir=prepared))
    assert logging.get_verbosity() == logging.INFO
    with pytest.raises(ValueError, match="'gray'"):
      tfds_source.tfds_bags("gray", "train", data_dir=prepared)
  finally:
    logging.set_verbosity(verbosity)
  assert not caplog.records


def test_the_command_pretrains_on_it(prepared, tmp_path):
  status = tiny.command(
    dataset="grey",
    data_dir=prepared,
    patient_feature="patient",
    use_micle=True,
    model_dir=tmp_path / "run",
  )
  assert status == run.DONE
