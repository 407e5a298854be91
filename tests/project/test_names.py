"""Names: signatures, reprs, what `dir` shows, what is said of names that there are not."""

import copy
import inspect
import math
import pickle

import keras
import numpy as np
import pytest
from support.metric_models import OF_ONE_PREDICTION

import masklstm
from masklstm import callbacks, data, distributions, layers, losses, metrics, ops

NAN = float("nan")
TAKEN_NAMES = ["epoch", "batch", "loss", "learning_rate", "val_mae"]


def required(name):
    """The arguments without which a loss or metric cannot be made."""
    return {
        "Masked": ["CosineSimilarity"],
        "Loss": [losses.Huber()],
        "MeanAbsoluteScaledError": [2.5],
        "Sum": [[losses.Huber()]],
    }.get(name, [])


class TestSignatures:
    @pytest.mark.parametrize("name", losses.__all__)
    def test_losses_have_their_options(self, name):
        if name == "Sum":
            pytest.skip("its parts have them")
        parameters = inspect.signature(getattr(losses, name)).parameters
        options = {"missing": NAN, "feature_weights": None, "step_weights": None}
        if name != "RootMeanSquaredError":  # which is no mean of elements or series
            options |= {"balance": None, "normalizer": None}
        for option, default in options.items():
            assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
            assert repr(parameters[option].default) == repr(default)

    @pytest.mark.parametrize("name", [*losses.__all__, *metrics.__all__])
    def test_nothing_hides_behind_stars(self, name):
        for module in (losses, metrics):
            if name in module.__all__:
                kinds = {
                    parameter.kind
                    for parameter in inspect.signature(getattr(module, name)).parameters.values()
                }
                assert inspect.Parameter.VAR_KEYWORD not in kinds
                assert inspect.Parameter.VAR_POSITIONAL not in kinds

    @pytest.mark.parametrize("name", losses.__all__)
    def test_an_unknown_option_is_refused(self, name):
        with pytest.raises(TypeError, match="normaliser"):
            getattr(losses, name)(*required(name), normaliser=3.0)


class TestReprs:
    @pytest.mark.parametrize("name", losses.__all__)
    def test_of_losses_make_them_again(self, name):
        options = {"missing": -999.0, "balance": "sample"}
        if name in ("Sum", "RootMeanSquaredError"):
            options = {}
        options = {**options, "name": "mine", "dtype": "float64"}
        for loss in (
            getattr(losses, name)(*required(name)),
            getattr(losses, name)(*required(name), **options),
        ):
            if name in ("Masked", "Sum"):
                assert repr(loss).startswith(f"{name}(")
                continue
            assert eval(f"losses.{loss!r}").get_config() == loss.get_config()

    @pytest.mark.parametrize("name", metrics.__all__)
    def test_of_metrics_make_them_again(self, name):
        for options in ({}, {"name": "mine", "dtype": "float32"}):
            metric = getattr(metrics, name)(*required(name), **options)
            if name in ("Masked", "Loss"):
                assert repr(metric).startswith(f"{name}(")
                continue
            assert eval(f"metrics.{metric!r}").get_config() == metric.get_config()

    @pytest.mark.parametrize(
        ("thing", "expected"),
        [
            (losses.MeanSquaredError(), "MeanSquaredError()"),
            (losses.Huber(0.5, missing=-1), "Huber(delta=0.5, missing=-1.0)"),
            (losses.Pinball(0.9, normalizer=7), "Pinball(quantile=0.9, normalizer=7)"),
            (losses.Poisson(step_weights=(1, 2)), "Poisson(step_weights=[1.0, 2.0])"),
            (losses.NashSutcliffeEfficiency(0), "NashSutcliffeEfficiency(epsilon=0.0)"),
            (
                losses.Masked("SparseCategoricalCrossentropy"),
                "Masked(loss=SparseCategoricalCrossentropy())",
            ),
            (
                losses.Masked(keras.losses.CosineSimilarity(axis=1), balance="sample"),
                "Masked(loss=CosineSimilarity(axis=1), balance='sample')",
            ),
            (metrics.R2Score(None), "R2Score(class_aggregation=None)"),
            (
                metrics.MeanSquaredError(class_aggregation=None, by="timestep", names=["a"]),
                "MeanSquaredError(class_aggregation=None, by='timestep', names=['a'])",
            ),
            (
                metrics.MeanSquaredError(missing="nonfinite"),
                "MeanSquaredError(missing='nonfinite')",
            ),
            (metrics.Loss(losses.Huber(delta=2.0)), "Loss(loss=Huber(delta=2.0))"),
            (
                metrics.Masked(keras.metrics.AUC(curve="PR", name="auc")),
                "Masked(metric=AUC(curve='PR', name='auc'))",
            ),
            (
                layers.LSTM(3, return_sequences=True, name="mine"),
                "<LSTM name=mine, built=False, units=3, return_sequences=True>",
            ),
            (
                layers.GRU(3, kernel_initializer="zeros", name="mine"),
                "<GRU name=mine, built=False, units=3, kernel_initializer=Zeros()>",
            ),
            (layers.Masking(-1, name="mine"), "<Masking name=mine, built=False, mask_value=-1.0>"),
            (
                layers.MaskedLoss(losses.Poisson(), name="mine"),
                "<MaskedLoss name=mine, built=False, loss=Poisson()>",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_show_what_differs_from_the_defaults(self, thing, expected):
        assert " ".join(repr(thing).split()).replace("built=True", "built=False") == expected

    def test_of_functions(self):
        def mine(y_true, y_pred):
            return y_pred

        assert "mine" in repr(losses.Masked(mine))
        assert "Masked(" in repr(losses.Masked(lambda y_true, y_pred: y_pred))

    def test_of_a_layer_of_ours_in_a_model(self):
        model = keras.Sequential([layers.Impute("last", name="mine")])
        assert "strategy='last'" in repr(model.layers)


class TestDir:
    @pytest.mark.parametrize(
        "module", [losses, metrics, layers, callbacks, data, distributions, ops]
    )
    def test_shows_what_is_public(self, module):
        assert dir(module) == sorted(module.__all__)

    def test_of_the_package(self):
        assert dir(masklstm) == sorted([*masklstm.__all__, "__version__"])
        assert not [name for name in dir(masklstm) if name.startswith("_") and name[1] != "_"]


def names_of_keras():
    for module in (losses, metrics):
        kind = module.__name__.rpartition(".")[2]
        for name in dir(getattr(keras, kind)):
            if not name.startswith("_") and name not in module.__all__:
                yield kind, name


class TestUnknownNames:
    NOT_FOR_LABELS = ("Loss", "Metric", "Mean", "Sum", "MeanMetricWrapper")

    @pytest.mark.parametrize(("kind", "name"), list(names_of_keras()), ids=str)
    def test_of_keras_are_answered_by_what_to_take(self, kind, name):
        module = getattr(masklstm, kind)
        with pytest.raises(AttributeError, match=f"no attribute '{name}'") as error:
            getattr(module, name)
        _, _, advice = str(error.value).partition(". Expected ")
        if name in (*self.NOT_FOR_LABELS, "get", "serialize", "deserialize"):
            assert not advice
            return
        code = advice.split(", which")[0]
        assert code.startswith(f"masklstm.{kind}.")
        if "(...)" in code:
            code = code.replace("(...)", "")  # it needs arguments, or may have some
            code = code.partition(".Masked(")[2].removesuffix(")") or code
        made = eval(code)
        assert isinstance(made, (type, keras.losses.Loss, keras.metrics.Metric))

    @pytest.mark.parametrize(
        ("module", "name", "expected"),
        [
            (
                losses,
                "SparseCategoricalCrossentropy",
                'masklstm.losses.Masked("SparseCategoricalCrossentropy")',
            ),
            (losses, "kl_divergence", 'masklstm.losses.Masked("kl_divergence")'),
            (losses, "kld", 'masklstm.losses.Masked("KLDivergence")'),
            (losses, "mse", "masklstm.losses.MeanSquaredError(...)"),
            (losses, "mean_absolute_error", "masklstm.losses.MeanAbsoluteError(...)"),
            (metrics, "AUC", 'masklstm.metrics.Masked("AUC")'),
            (metrics, "MeanIoU", "masklstm.metrics.Masked(keras.metrics.MeanIoU(...))"),
            (metrics, "accuracy", 'masklstm.metrics.Masked("accuracy")'),
            (metrics, "acc", 'masklstm.metrics.Masked("accuracy")'),
            (metrics, "log_cosh", "masklstm.metrics.LogCoshError(...)"),
            (metrics, "rmse", "masklstm.metrics.RootMeanSquaredError(...)"),
        ],
    )
    def test_examples(self, module, name, expected):
        with pytest.raises(AttributeError) as error:
            getattr(module, name)
        assert f"Expected {expected}" in str(error.value)

    @pytest.mark.parametrize("module", [losses, metrics])
    def test_all_others_are_plain(self, module):
        for name in ("NoSuchThing", "_private", "__wrapped__", "get"):
            with pytest.raises(AttributeError) as error:
                getattr(module, name)
            assert str(error.value) == f"module '{module.__name__}' has no attribute '{name}'"

    def test_python_goes_on_as_ever(self):
        assert not hasattr(losses, "AUC")
        assert getattr(metrics, "AUC", None) is None
        with pytest.raises(ImportError):
            from masklstm.losses import NoSuchThing  # noqa: F401
        loss = losses.Huber(0.3, missing=-1)
        for again in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert again.get_config() == loss.get_config()
        assert copy.copy(vars(losses)) == vars(losses)
        assert inspect.getmodule(losses.Huber) is losses


class TestNamesOfMetrics:
    @pytest.mark.parametrize("taken", TAKEN_NAMES)
    @pytest.mark.parametrize("name", metrics.__all__)
    def test_those_of_the_logs_are_refused(self, name, taken):
        with pytest.raises(ValueError, match=f"'name'.*Received: name='{taken}'"):
            getattr(metrics, name)(*required(name), name=taken)

    def test_a_loss_of_such_a_name_needs_another(self):
        loss = losses.MeanSquaredError(name="loss")
        with pytest.raises(ValueError, match="'name'"):
            metrics.Loss(loss)
        assert metrics.Loss(loss, name="mine").name == "mine"

    @pytest.mark.parametrize("taken", TAKEN_NAMES)
    def test_files_of_earlier_versions_load(self, taken):
        """Such a name becomes a free one."""
        for metric in (metrics.Loss(losses.Huber(delta=0.5)), metrics.R2Score(None)):
            serialized = keras.metrics.serialize(metric)
            serialized["config"]["name"] = taken
            with pytest.warns(UserWarning, match=f"'{taken}' is loaded as"):
                again = keras.metrics.deserialize(serialized)
            assert again.name == taken.removeprefix("val_") + "_metric"

    def test_the_names_of_all_metrics_serve_every_callback(self, tmp_path):
        """Every metric's own name in file names and tables."""
        made = [getattr(metrics, name)(*required(name)) for name in OF_ONE_PREDICTION]
        made = list({metric.name: metric for metric in made}.values())
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile("sgd", losses.MeanSquaredError(), metrics=made)
        x = np.random.default_rng(0).random((8, 3))
        file_name = "{epoch}-{loss:.2f}-{valid_share:.2f}-{val_valid_share:.2f}.keras"
        history = model.fit(
            x,
            x[:, :2],
            validation_data=(x, x[:, :2]),
            epochs=2,
            verbose=0,
            callbacks=[
                keras.callbacks.ModelCheckpoint(tmp_path / file_name),
                keras.callbacks.CSVLogger(tmp_path / "log.csv"),
                keras.callbacks.ReduceLROnPlateau(),
            ],
        ).history
        names = {metric.name for metric in made} | {"loss"}
        assert history.keys() == names | {f"val_{name}" for name in names} | {"learning_rate"}
        header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
        assert len(header) == len(set(header))
        assert len(list(tmp_path.glob("*-1.00-1.00.keras"))) == 2

    def test_keras_cannot_take_such_a_name(self, tmp_path):
        """The reason why they are refused; if this fails, Keras has learnt it."""
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=[keras.metrics.MeanSquaredError(name="epoch")])
        save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
        with pytest.raises(TypeError, match="epoch"):
            model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0, callbacks=[save])


class TestValidShare:
    def test_is_logged_under_the_name_that_the_callback_uses(self):
        assert metrics.ValidShare().name == "valid_share"

    def test_the_earlier_name_is_kept_and_loads(self):
        old = {
            "module": "masklstm.metrics",
            "class_name": "ValidFraction",
            "config": {"name": "valid_fraction", "dtype": "float64", "missing": -1.0},
            "registered_name": "masklstm.metrics>ValidFraction",
        }
        metric = keras.metrics.deserialize(old)
        assert isinstance(metric, metrics.ValidShare)
        assert metric.name == metrics.ValidFraction().name == "valid_fraction"
        metric.update_state([1.0, -1.0, 2.0, NAN], [0.0] * 4)
        assert math.isclose(metric.result(), 0.5)
        new = keras.metrics.serialize(metrics.ValidShare())
        assert new["registered_name"] == "masklstm.metrics>ValidShare"
