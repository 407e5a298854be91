"""Models saved by earlier versions (tests/saved_models) load, predict and judge as they did."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from support.markers import version_of

FOLDER = Path(__file__).parents[1] / "saved_models"


def test_there_are_some():
    assert len(list(FOLDER.glob("*.keras"))) >= 5


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.keras")), ids=lambda file: file.stem)
def test_loads_and_gives_the_same(file, tmp_path):
    saved_by = json.loads(zipfile.ZipFile(file).read("metadata.json"))["keras_version"]
    if version_of(keras.__version__) < version_of(saved_by):
        pytest.skip(f"saved by Keras {saved_by}, whose files this one does not read")
    model = keras.saving.load_model(file)
    then = np.load(file.with_suffix(".npz"))
    labels = [then["y"]] * len(model.outputs) if len(model.outputs) > 1 else then["y"]
    predictions = model.predict(then["x"], verbose=0)
    for number, found in enumerate(predictions if isinstance(predictions, list) else [predictions]):
        np.testing.assert_allclose(found, then[f"predictions_{number}"], rtol=1e-5, atol=1e-6)
    scores = model.evaluate(then["x"], labels, verbose=0, return_dict=True)
    assert list(scores) == list(then["names"])
    np.testing.assert_allclose(list(scores.values()), then["scores"], rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    assert again.get_compile_config() == model.get_compile_config()
    assert again.get_config() == model.get_config()
