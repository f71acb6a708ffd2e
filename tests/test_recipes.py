"""Recipes: each on a folder as the public set has it, to the exact counts."""

from __future__ import annotations

import gzip
import importlib.util
import io
import pathlib
import runpy

import pytest
from PIL import Image

from data.build_tfrecords import main
from data.builder import recipes
from data.records import dataset_json

CHEXPERT = (
  "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
  "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,"
  "Pleural Other,Fracture,Support Devices"
)
CHEXPERT_HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{CHEXPERT}\n"
NIH_HEADER = (
  "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,"
  "Patient Gender,View Position,"
  "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
MIMIC_HEADER = (
  "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,"
  "Rows,Columns,StudyDate,StudyTime\n"
)
PADCHEST_HEADER = (
  ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,"
  "PatientSex_DICOM,Projection,Labels\n"
)
UFES_HEADER = (
  "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,"
  "pesticide,gender,skin_cancer_history,cancer_history,has_piped_water,"
  "has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,"
  "grew,hurt,changed,bleed,elevation,img_id,biopsed\n"
)
ODIR_HEADER = (
  "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,"
  "Left-Diagnostic Keywords,Right-Diagnostic Keywords,N,D,G,C,A,H,M,O\n"
)
RSNA_HEADER = (
  "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,"
  "BIRADS,implant,density,machine_id,difficult_negative_case\n"
)
CBIS_HEADER = (
  "patient_id,breast_density,left or right breast,image view,abnormality id,"
  "abnormality type,mass shape,mass margins,assessment,pathology,subtlety,"
  "image file path,cropped image file path,ROI mask file path\n"
)


def ufes(patient, lesion, dx, image):
  return (
    f"PAT_{patient},{lesion},False,False,,,40,,FEMALE,,,,,2.0,ARM,,,{dx},"
    f"True,False,False,False,False,False,{image},False\n"
  )


def cbis(patient, side, view, number, pathology, image):
  return (
    f"{patient},3,{side},{view},{number},mass,OVAL,OBSCURED,4,{pathology},4,"
    f"{image},crop/{number}.dcm,mask/{number}.dcm\n"
  )


# For each set: files (the manifest first), images, and what must come out of
# 'test' and of the other splits together: patients, bags, images, labelled,
# and counts of labels: a class's images, or a finding's 1, 0, -1, not stated.
SETS = {
  "chexpert": (
    {
      "CheXpert-v1.0/train.csv": CHEXPERT_HEADER
      + "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Female,68,"
      "Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0\n"
      "CheXpert-v1.0/train/patient00002/study2/view1_frontal.jpg,Male,87,"
      "Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,\n"
      "CheXpert-v1.0/train/patient00002/study1/view2_lateral.jpg,Male,83,"
      "Lateral,,,,,1.0,,,-1.0,,,,,,1.0,\n"
      "CheXpert-v1.0/train/patient00003/study1/view1_frontal.jpg,Male,41,"
      "Frontal,PA,,,,,,,,,,,,,,\n",
      "CheXpert-v1.0/valid.csv": CHEXPERT_HEADER
      + "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg,Male,73,"
      "Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
    },
    [
      "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg",
      "CheXpert-v1.0/train/patient00002/study2/view1_frontal.jpg",
      "CheXpert-v1.0/train/patient00002/study1/view2_lateral.jpg",
      "CheXpert-v1.0/train/patient00003/study1/view1_frontal.jpg",
      "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg",
    ],
    {
      "train": (
        (3, 3, 4, 3),
        {
          "No Finding": (1, 2, 0, 1),
          "Cardiomegaly": (0, 2, 1, 1),
          "Fracture": (2, 1, 0, 1),
          "Consolidation": (0, 1, 2, 1),
        },
      ),
      "test": ((1, 1, 1, 1), {"Cardiomegaly": (1, 0, 0, 0)}),
    },
    {"Sex", "Frontal_Lateral", "AP_PA"},
  ),
  "nih": (
    {
      "Data_Entry_2017.csv": NIH_HEADER
      + "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143,\n"
      "00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,PA,2894,2729,1,1,\n"
      "00000002_000.png,No Finding,0,2,80,M,PA,2500,2048,0.171,0.171,\n"
    },
    [
      "images_001/images/00000001_000.png",
      "images_001/images/00000001_001.png",
      "images_002/images/00000002_000.png",
    ],
    {
      "train": (
        (2, 2, 3, 3),
        {"Cardiomegaly": (2, 1, 0, 0), "Emphysema": (1, 2, 0, 0)},
      )
    },
    {"View Position", "Patient Gender"},
  ),
  "mimic_cxr": (
    {
      "mimic-cxr-2.0.0-metadata.csv.gz": MIMIC_HEADER
      + "02aa-c2,10000032,50414267,CHEST,PA,3056,2544,21800506,213014.531\n"
      "174f-16,10000032,50414267,CHEST,LATERAL,3056,2544,21800506,213014.5\n"
      "2a2f-a4,10000764,57375967,CHEST,AP,3056,2544,21800506,213014.5\n"
      "68b5-a1,10000898,50771383,CHEST,AP,3056,2544,21800506,213014.5\n",
      "mimic-cxr-2.0.0-chexpert.csv": "subject_id,study_id,"
      f"{','.join(sorted(CHEXPERT.split(',')))}\n"
      "10000032,50414267,,,,,,,,,1.0,,,,,\n"
      "10000764,57375967,,,1.0,,,,,,,,,-1.0,,\n",
      "mimic-cxr-2.0.0-split.csv.gz": "dicom_id,study_id,subject_id,split\n"
      "02aa-c2,50414267,10000032,train\n174f-16,50414267,10000032,train\n"
      "2a2f-a4,57375967,10000764,test\n68b5-a1,50771383,10000898,validate\n",
    },
    [
      "files/p10/p10000032/s50414267/02aa-c2.jpg",
      "files/p10/p10000032/s50414267/174f-16.jpg",
      "files/p10/p10000764/s57375967/2a2f-a4.jpg",
      "files/p10/p10000898/s50771383/68b5-a1.jpg",
    ],
    {
      "train": (
        (2, 2, 3, 2),
        {"No Finding": (2, 0, 0, 1), "Consolidation": (0, 2, 0, 1)},
      ),
      "test": (
        (1, 1, 1, 1),
        {"Consolidation": (1, 0, 0, 0), "Pneumonia": (0, 0, 1, 0)},
      ),
    },
    {"ViewPosition"},
  ),
  "padchest": (
    {
      "PADCHEST_labels.csv": PADCHEST_HEADER
      + "0,20536_k6.png,0,20140915,2053,8398,1930.0,F,PA,['normal']\n"
      "1,13580_fz.png,54,20150914,1358,3135,1929.0,M,L,"
      "\"['pulmonary fibrosis', ' kyphosis', 'unchanged']\"\n"
      "2,13581_fz.png,54,20150914,1358,3135,1929.0,M,PA,\"['kyphosis']\"\n"
      "3,13582_fz.png,54,20150914,1359,3135,1929.0,M,PA,['']\n"
    },
    ["0/20536_k6.png", "54/13580_fz.png", "54/13581_fz.png", "54/13582_fz.png"],
    {
      "train": (
        (2, 2, 4, 3),
        {
          "kyphosis": (2, 1, 0, 1),
          "pulmonary fibrosis": (1, 2, 0, 1),
          "nodule": (0, 3, 0, 1),
        },
      )
    },
    {"Projection", "PatientSex_DICOM"},
  ),
  "ham10000": (
    {
      "HAM10000_metadata.csv": (
        "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
        "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp\n"
        "HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp\n"
        "HAM_0002730,ISIC_0026769,nv,histo,,female,back\n"
      )
    },
    [
      "HAM10000_images_part_1/ISIC_0027419.jpg",
      "HAM10000_images_part_2/ISIC_0025030.jpg",
      "HAM10000_images_part_1/ISIC_0026769.jpg",
    ],
    {"train": ((2, 2, 3, 3), {"bkl": 2, "nv": 1})},
    {"sex", "localization", "dx_type"},
  ),
  "isic2019": (
    {
      "ISIC_2019_Training_GroundTruth.csv": (
        "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
        "ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0000002,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0000003,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0000004,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
      ),
      "ISIC_2019_Training_Metadata.csv": (
        "image,age_approx,anatom_site_general,lesion_id,sex\n"
        "ISIC_0000000,55.0,anterior torso,,female\n"
        "ISIC_0000002,30.0,anterior torso,,female\n"
        "ISIC_0000003,60.0,upper extremity,BCN_0001,male\n"
        "ISIC_0000004,80.0,,BCN_0001,male\n"
      ),
    },
    [f"ISIC_2019_Training_Input/ISIC_000000{k}.jpg" for k in (0, 2, 3, 4)],
    {"train": ((3, 3, 4, 4), {"MEL": 2, "NV": 2})},
    {"sex", "anatom_site_general"},
  ),
  "isic2020": (
    {
      "train.csv": (
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,"
        "diagnosis,benign_malignant,target\n"
        "ISIC_2637011,IP_7279968,male,45.0,head/neck,unknown,benign,0\n"
        "ISIC_0015719,IP_3075186,female,45.0,,unknown,benign,0\n"
        "ISIC_0052212,IP_3075186,female,50.0,torso,melanoma,malignant,1\n"
      )
    },
    [f"jpeg/train/ISIC_{k}.jpg" for k in ("2637011", "0015719", "0052212")],
    {"train": ((2, 2, 3, 3), {"benign": 2, "malignant": 1})},
    {"sex", "anatom_site_general_challenge"},
  ),
  "pad_ufes": (
    {
      "metadata.csv": UFES_HEADER
      + ufes("1516", "1765", "NEV", "PAT_1516_1765_530.png")
      + ufes("1516", "1765", "NEV", "PAT_1516_1765_531.png")
      + ufes("1516", "1766", "BCC", "PAT_1516_1766_1.png")
      + ufes("46", "881", "BCC", "PAT_46_881_939.png")
    },
    [
      "imgs_part_1/PAT_1516_1765_530.png",
      "imgs_part_1/PAT_1516_1765_531.png",
      "imgs_part_2/PAT_1516_1766_1.png",
      "imgs_part_3/PAT_46_881_939.png",
    ],
    {"train": ((2, 3, 4, 4), {"BCC": 2, "NEV": 2})},
    {"gender", "fitspatrick", "region"},
  ),
  "eyepacs": (
    {"trainLabels.csv": "image,level\n10_left,0\n10_right,0\n13_left,2\n"},
    ["train/10_left.jpeg", "train/10_right.jpeg", "train/13_left.jpeg"],
    {"train": ((2, 2, 3, 3), {"0": 2, "2": 1})},
    {"laterality"},
  ),
  "messidor2": (
    {
      "messidor-2.csv": "left;right\n20051020_43808.png;20051020_43832.png\n"
      "IM000001.JPG;IM000002.JPG\n",
      "messidor_data.csv": (
        "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\n"
        "20051020_43808.png,0.0,0.0,1\n20051020_43832.png,1.0,0.0,1\n"
        "IM000001.jpg,1.0,0.0,1\nIM000002.jpg,,,0\n"
      ),
    },
    [
      "IMAGES/20051020_43808.png",
      "IMAGES/20051020_43832.png",
      "IMAGES/IM000001.JPG",
      "IMAGES/IM000002.JPG",
    ],
    {"train": ((2, 2, 4, 3), {"0": 1, "1": 2})},
    {"image_column"},
  ),
  "odir": (
    {
      "odir.csv": ODIR_HEADER
      + "0,69,Female,0_left.jpg,0_right.jpg,cataract,normal,0,0,0,1,0,0,0,0\n"
      '1,57,Male,1_left.jpg,1_right.jpg,"normal, dust",normal,1,0,0,0,0,0,0,0\n'
    },
    [f"ODIR-5K/Training Images/{k}.jpg" for k in ("0_left", "0_right")]
    + [f"ODIR-5K/Training Images/{k}.jpg" for k in ("1_left", "1_right")],
    {"train": ((2, 2, 4, 4), {"N": (2, 2, 0, 0), "C": (2, 2, 0, 0)})},
    {"laterality", "Patient Sex"},
  ),
  "rsna_mammo": (
    {
      "train.csv": RSNA_HEADER
      + "2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False\n"
      "2,10006,1459541791,L,MLO,61.0,0,0,0,,0,,29,False\n"
      "1,10011,220375232,R,CC,55.0,1,0,0,0.0,0,B,21,True\n"
    },
    [
      "train_images/10006/462822612.dcm",
      "train_images/10006/1459541791.dcm",
      "train_images/10011/220375232.dcm",
    ],
    {"train": ((2, 2, 3, 3), {"0": 2, "1": 1})},
    {"laterality", "view", "site_id", "density"},
  ),
  "cbis_ddsm": (
    {
      "mass_case_description_train_set.csv": CBIS_HEADER
      + cbis("P_00001", "LEFT", "CC", 1, "MALIGNANT", "P1_LEFT_CC/0.dcm")
      + cbis("P_00001", "LEFT", "MLO", 1, "MALIGNANT", "P1_LEFT_MLO/0.dcm")
      + cbis("P_00001", "LEFT", "CC", 2, "BENIGN", "P1_LEFT_CC/0.dcm")
      + cbis("P_2", "RIGHT", "CC", 1, "BENIGN", "P2_RIGHT_CC/0.dcm"),
      "mass_case_description_test_set.csv": CBIS_HEADER
      + cbis(
        "P_3", "LEFT", "CC", 1, "BENIGN_WITHOUT_CALLBACK", "P3_LEFT_CC/0.dcm"
      ),
    },
    [
      "P1_LEFT_CC/0.dcm",
      "P1_LEFT_MLO/0.dcm",
      "P2_RIGHT_CC/0.dcm",
      "P3_LEFT_CC/0.dcm",
    ],
    {
      "train": (
        (2, 2, 3, 3),
        {"MALIGNANT": (2, 1, 0, 0), "BENIGN": (2, 1, 0, 0)},
      ),
      "test": ((1, 1, 1, 1), {"BENIGN_WITHOUT_CALLBACK": (1, 0, 0, 0)}),
    },
    {"left or right breast", "image view"},
  ),
  "vindr_mammo": (
    {
      "breast-level_annotations.csv": (
        "study_id,series_id,image_id,laterality,view_position,height,width,"
        "breast_birads,breast_density,split\n"
        "b8d2,e192,d8125,R,CC,3518,2800,BI-RADS 2,DENSITY C,training\n"
        "b8d2,e192,290c6,L,MLO,3518,2800,BI-RADS 1,DENSITY C,training\n"
        "8269,5d1a,dac39,L,CC,3518,2800,BI-RADS 1,DENSITY C,training\n"
        "48575,abcd,e1234,L,CC,3518,2800,BI-RADS 5,DENSITY B,test\n"
      )
    },
    [
      "images/b8d2/d8125.dicom",
      "images/b8d2/290c6.dicom",
      "images/8269/dac39.dicom",
      "images/48575/e1234.dicom",
    ],
    {
      "train": ((2, 2, 3, 3), {"BI-RADS 1": 2, "BI-RADS 2": 1}),
      "test": ((1, 1, 1, 1), {"BI-RADS 5": 1}),
    },
    {"laterality", "view_position"},
  ),
  "vindr_cxr": (
    {
      "train.csv": (
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
        "50a41,No finding,14,R11,,,,\n50a41,No finding,14,R15,,,,\n"
        "9a5094,Cardiomegaly,3,R10,691,1375,1653,1831\n"
        "9a5094,Aortic enlargement,0,R9,789,729,1060,1023\n"
        "9a5094,No finding,14,R17,,,,\n"
      )
    },
    ["train/50a41.dicom", "train/9a5094.dicom"],
    {
      "train": (
        (2, 2, 2, 2),
        {"Aortic enlargement": (1, 1, 0, 0), "Cardiomegaly": (1, 1, 0, 0)},
      )
    },
    set(),
  ),
}


@pytest.fixture(scope="module")
def jpeg():
  buffer = io.BytesIO()
  Image.new("RGB", (12, 8), (90, 20, 30)).save(buffer, "JPEG")
  return buffer.getvalue()


def write(folder, files, images, jpeg):
  for name, text in files.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode()
    path.write_bytes(
      gzip.compress(content) if path.suffix == ".gz" else content
    )
  for name in images:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg)  # Read by content: DICOM files have tests elsewhere.
  return folder / next(iter(files))


def build(folder, manifest, recipe, *more):
  return main(
    [
      "build_tfrecords",
      f"--recipe={recipe}",
      f"--manifest={manifest}",
      f"--image_root={folder}",
      f"--output_dir={folder / 'out'}",
      "--workers=1",
      *more,
    ]
  )


def counts(splits, findings):
  """Counts of several splits together, of some classes or findings."""
  whole = tuple(
    sum(getattr(split, name) for split in splits)
    for name in ("patients", "bags", "images", "labelled_images")
  )
  labels = {}
  for name in findings:
    found = [split.label_counts[name] for split in splits]
    if isinstance(found[0], int):
      labels[name] = sum(found)
    else:
      values = ("1", "0", "-1", "missing")
      labels[name] = tuple(sum(f[value] for f in found) for value in values)
  return whole, labels


def test_every_recipe_is_tested():
  assert sorted(SETS) == recipes.names()


@pytest.mark.parametrize("name", SETS)
def test_recipe(tmp_path, jpeg, name):
  files, images, expected, metadata = SETS[name]
  manifest = write(tmp_path, files, images, jpeg)
  given = {"chexpert", "mimic_cxr", "cbis_ddsm", "vindr_mammo"}
  more = [] if name in given else ["--split_fractions=train=1"]
  assert build(tmp_path, manifest, name, *more) == 0
  description = dataset_json.load(tmp_path / "out")
  assert set(description.metadata) == metadata
  groups = {"train": [], "test": []}
  for split, content in description.splits.items():
    groups["test" if split == "test" else "train"].append(content)
  for group, (whole, labels) in expected.items():
    assert counts(groups[group], labels) == (whole, labels)
  assert bool(groups["test"]) == ("test" in expected)
  if next(iter(expected["train"][1].values())).__class__ is int:
    found = {n for _, of in expected.values() for n in of}
    assert set(description.class_names) == found
  written = [p.read_bytes() for p in (tmp_path / "out").iterdir()]
  for image in images:  # No name leaks.
    mark = image.rpartition("/")[2].partition(".")[0].encode()
    if len(mark) > 4:
      assert not any(mark in content for content in written)


def test_a_recipe_of_ones_own_and_flags_that_win(tmp_path, jpeg, capsys):
  recipe = tmp_path / "clinic.flags"
  recipe.write_text(  # As Windows' Notepad writes it.
    r"--pattern=file:^(?P<patient_id>\w+)-\d" + "\n\n# Our clinic.\n"
    "--path_template={file}.jpg\n--label_column=findings\n"
    "--label_separator=+\n--split_fractions=train=1\n--metadata_columns=site\n",
    encoding="utf-8-sig",
    newline="\r\n",
  )
  files = {"m.csv": "file,findings,site\na-1,x+y,n\na-2,x,s\nb-1,y,n\n"}
  manifest = write(tmp_path, files, ["a-1.jpg", "a-2.jpg", "b-1.jpg"], jpeg)
  assert build(tmp_path, manifest, recipe) == 0
  description = dataset_json.load(tmp_path / "out")
  train = description.splits["train"]
  assert (train.patients, train.images) == (2, 3)
  assert description.class_names == ("x", "y")
  (tmp_path / "out").rename(tmp_path / "first")
  # A class of one's own in place of the recipe's findings.
  assert build(tmp_path, manifest, recipe, "--label_column=site") == 2
  assert "columns of no other use" in capsys.readouterr().err
  more = ["--label_column=site", "--metadata_columns="]
  assert build(tmp_path, manifest, recipe, *more) == 0
  description = dataset_json.load(tmp_path / "out")
  assert description.task == "multi_class"
  assert description.class_names == ("n", "s")


def test_rows_of_other_files_and_images_are_explained(tmp_path, jpeg, capsys):
  files, images, _, _ = SETS["chexpert"]
  manifest = write(tmp_path, files, images[:-1], jpeg)
  assert build(tmp_path, manifest, "chexpert") == 2
  told = capsys.readouterr().err
  assert "1 problem found" in told
  assert "row 12: " in told
  assert "Row 10 + k is row k of 'valid.csv'." in told


@pytest.mark.parametrize(
  ("recipe", "message"),
  [
    ("chexprt", "or one of cbis_ddsm, chexpert, "),
    ("--colour=red", "Unknown command line flag 'colour'"),
    ("--recipe=nih", "no recipe in a recipe"),
    ("--blank=zero", "--blank=zero"),
    ("--seed=1\nblank=absent", "Expected a flag a line. Received: 'blank="),
  ],
)
def test_a_recipe_that_is_not_right(tmp_path, capsys, recipe, message):
  if recipe.startswith("--"):
    (tmp_path / "own.flags").write_text(recipe)
    recipe = tmp_path / "own.flags"
  assert build(tmp_path, "m.csv", recipe) == 2
  told = capsys.readouterr().err
  assert message in told
  assert f"--recipe={recipe}" in told


def test_nih_without_its_recipe_names_the_separator(tmp_path, jpeg, capsys):
  files, images, _, _ = SETS["nih"]
  manifest = write(tmp_path, files, images, jpeg)
  flags = {
    "manifest": manifest,
    "image_root": tmp_path,
    "output_dir": tmp_path / "out",
    "image_column": "Image Index",
    "patient_column": "Patient ID",
    "label_column": "Finding Labels",
  }
  assert main(["build", *(f"--{k}={v}" for k, v in flags.items())]) == 2
  assert "pass --label_separator='|'" in capsys.readouterr().err


def test_nihs_recipe_on_the_sets_own_file():
  """As torchxrayvision carries it; all rows are read, and none is refused.

  benchmarks/label_files.py reads three further sets' files.
  """
  package = importlib.util.find_spec("torchxrayvision")
  if package is None:
    pytest.skip("pip install --no-deps torchxrayvision==1.5.7 brings the files")
  script = pathlib.Path(__file__).parents[1] / "benchmarks" / "label_files.py"
  read = runpy.run_path(str(script))["read"]
  folder = pathlib.Path(package.origin).parent / "data"
  manifest, problems = read(folder, "nih")
  assert not problems
  assert len(manifest.rows) == 112_120
  assert len({row.patient for row in manifest.rows}) == 30_805
