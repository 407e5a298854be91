"""The CUDA kernels against NumPy in float64, and against the CPU kernels."""

import numpy as np
import pytest

from . import formulas
from .checks import REDUCTIONS, TYPES, align, assert_close, check, computing_type, example

# Formulas of additions, multiplications, divisions and comparisons: rounded alike everywhere.
ARITHMETIC = ("squared_error", "absolute_error", "huber", "absolute_percentage_error", "pinball")

FOCAL = "binary_focal_crossentropy"

SHAPE = (7, 5, 3)

WEIGHT_SHAPES = (None, (), (7,), (7, 5), (7, 5, 1), (7, 5, 3), (1, 1, 3), (7, 1, 3), (1, 5, 1))


def test_the_formulas_are_those_of_all_losses(kernels):
    descriptions = kernels.descriptions().items()
    assert list(formulas.LOSSES) == [name for name, loss in descriptions if not loss["channels"]]


@pytest.mark.sanitize
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", formulas.LOSSES)
def test_every_loss(kernels, rng, loss, dtype, reduction):
    t, p, valid = example(kernels, loss, SHAPE, dtype, rng)
    check(kernels, loss, t, p, valid, dtype, reduction)


OTHER_PARAMETERS = [
    *((loss, parameters) for loss, of in formulas.LOSSES.items() for parameters in of.others),
    (FOCAL, {"gamma": 1.7, "alpha": 0.4, "apply_class_balancing": True}),
    (FOCAL, {"from_logits": True, "gamma": 3.0, "label_smoothing": 0.1}),
    (FOCAL, {"gamma": 0.0}),
    (
        FOCAL + "_from_logits",
        {"gamma": 0.5, "alpha": 0.4, "apply_class_balancing": True, "label_smoothing": 0.1},
    ),
]


@pytest.mark.parametrize(("loss", "parameters"), OTHER_PARAMETERS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_parameters_as_on_the_cpu(kernels, rng, loss, parameters, dtype):
    t, p, _ = example(kernels, loss, (200, 3), dtype, rng)
    arrays = [kernels.to_device(x) for x in (t, p)]
    found = kernels.masked_loss(*arrays, loss=loss, **parameters)[0].numpy()
    want = kernels.masked_loss(t, p, loss=loss, **parameters)[0]
    assert want != kernels.masked_loss(t, p, loss=loss)[0]
    assert_close(found, want, dtype)
    found = kernels.masked_loss_gradient(*arrays, loss=loss, **parameters).numpy()
    want = kernels.masked_loss_gradient(t, p, loss=loss, **parameters)
    assert_close(found, want.astype(np.float64), dtype)


def test_every_parameter_was_given_another_value(kernels):
    given = {(loss, name) for loss, parameters in OTHER_PARAMETERS for name in parameters}
    known = {(loss, entry["name"]) for loss in formulas.LOSSES for entry in kernels.losses()[loss]}
    assert known - given <= {("binary_focal_crossentropy", "epsilon")}


@pytest.mark.sanitize
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", WEIGHT_SHAPES, ids=str)
def test_weights_and_masks_of_every_shape(kernels, rng, shape, dtype, reduction):
    t, p, valid = example(kernels, "squared_error", SHAPE, dtype, rng)
    weight = None if shape is None else rng.random(shape).astype(computing_type(dtype))
    mask_shape = () if shape is None else shape
    mask = np.array(rng.random(mask_shape) < 0.7)
    check(kernels, "squared_error", t, p, valid, dtype, reduction, weight)
    valid = valid & np.broadcast_to(align(mask), SHAPE)
    check(kernels, "squared_error", t, p, valid, dtype, reduction, weight, mask)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "label_type",
    ["bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), *TYPES],
)
def test_labels_of_every_type_with_a_sentinel(kernels, rng, label_type, dtype):
    label_type = np.dtype(TYPES.get(label_type, label_type))
    numbers = rng.integers(0, 2 if label_type.kind == "b" else 5, SHAPE)
    t = numbers.astype(label_type)
    p = rng.standard_normal(SHAPE).astype(TYPES[dtype])
    found = kernels.masked_loss(kernels.to_device(t), kernels.to_device(p), missing=1)
    want = kernels.masked_loss(t, p, missing=1)
    assert found[2].numpy() == want[2] == np.sum(numbers != 1)
    np.testing.assert_allclose(found[0].numpy(), want[0], rtol=1e-12)


@pytest.mark.parametrize("label_type", ["int64", "uint64", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("missing", [-999.0, 2.0**53, 65504.0, 65520.0, 0.1, 1e300, "nonfinite"])
def test_the_same_labels_are_missing_as_on_the_cpu(kernels, label_type, missing):
    values = [0, 1, 0.1, 65504, 65519, 2.0**53, np.inf, -np.inf, np.nan, -999, 3e38]
    if label_type.endswith("int64"):
        values = [0, 1, 65504, 65520, 2**53, 2**53 + 1, 2**62]
        values += [2**64 - 999] if label_type == "uint64" else [-999]
    with np.errstate(all="ignore"):
        t = np.array(values, TYPES.get(label_type, label_type))
    p = np.zeros(t.shape, np.float32)
    found = kernels.masked_loss(kernels.to_device(t), kernels.to_device(p), missing=missing)
    assert found[2].numpy() == kernels.masked_loss(t, p, missing=missing)[2]


@pytest.mark.parametrize("missing_share", [0.0, 1.0])
@pytest.mark.parametrize("dtype", TYPES)
def test_nothing_or_everything_is_missing(kernels, rng, dtype, missing_share):
    t, p, valid = example(kernels, "squared_error", SHAPE, dtype, rng, missing_share)
    for reduction in REDUCTIONS:
        check(kernels, "squared_error", t, p, valid, dtype, reduction)


@pytest.mark.sanitize
@pytest.mark.parametrize("balance", ["sample", "timestep", "feature"])
@pytest.mark.parametrize(
    "shape",
    [
        (7, 5, 3),
        (300, 4, 8),
        (5, 3000, 1),
        (2, 3, 2500),
        (1, 1, 1),
        (4000, 2),
        (3, 700),
        (50, 3, 7),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_groups(kernels, rng, shape, balance, dtype):
    t, p, valid = example(kernels, "squared_error", shape, dtype, rng)
    weight = rng.random(shape).astype(computing_type(dtype))
    axis = {"sample": 0, "timestep": 1, "feature": len(shape) - 1}[balance]
    others = tuple(other for other in range(len(shape)) if other != axis)
    found = kernels.masked_group_sums(
        *map(kernels.to_device, (t, p)), sample_weight=kernels.to_device(weight), balance=balance
    )
    error = np.where(valid, p.astype(np.float64) - t.astype(np.float64), 0)
    weight = np.where(valid, weight.astype(np.float64), 0)
    for sums, want in zip(found, (error**2 * weight, weight, valid), strict=True):
        np.testing.assert_allclose(sums.numpy(), want.sum(axis=others), rtol=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", ARITHMETIC)
def test_the_same_gradient_as_the_cpu_bit_by_bit(kernels, rng, loss, dtype):
    t, p, _ = example(kernels, loss, SHAPE, dtype, rng)
    weight = rng.random((7, 5)).astype(computing_type(dtype))
    for reduction in ("sum_of_elements", "mean", "none", "sum"):
        for given in (None, weight):
            options = {"loss": loss, "reduction": reduction}
            want = kernels.masked_loss_gradient(t, p, sample_weight=given, **options)
            if given is not None:
                options["sample_weight"] = kernels.to_device(given)
            found = kernels.masked_loss_gradient(*map(kernels.to_device, (t, p)), **options)
            assert found.numpy().tobytes() == want.tobytes()


@pytest.mark.sanitize
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("way", ["plain", "weighted"])
def test_every_number_of_a_half_type_as_on_the_cpu(kernels, rng, dtype, way):
    """As a label, as a prediction and, with weights of all sizes, rounded in the gradient."""
    numbers = np.arange(2**16, dtype=np.uint16).view(TYPES[dtype])
    zeros = np.zeros_like(numbers)
    options = {"reduction": "sum_of_elements"}
    on_device = dict(options)
    if way == "weighted":
        options["sample_weight"] = np.exp(rng.uniform(-30, 30, numbers.shape)).astype(np.float32)
        on_device["sample_weight"] = kernels.to_device(options["sample_weight"])
    for arrays in ((numbers, zeros), (zeros, numbers), (numbers, rng.permutation(numbers))):
        with np.errstate(all="ignore"):
            want = kernels.masked_loss_gradient(*arrays, **options)
        found = kernels.masked_loss_gradient(*map(kernels.to_device, arrays), **on_device).numpy()
        is_number = ~np.isnan(want.astype(np.float32))
        np.testing.assert_array_equal(~np.isnan(found.astype(np.float32)), is_number)
        assert found[is_number].tobytes() == want[is_number].tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", formulas.LOSSES)
def test_an_invalid_element_contributes_nothing(kernels, rng, loss, dtype):
    t, p, valid = example(kernels, loss, (40, 3), dtype, rng)
    bad = p.copy()
    bad[~valid] = rng.choice([np.nan, np.inf, -np.inf], np.sum(~valid))
    weight = rng.random((40, 3)).astype(computing_type(dtype))
    bad_weight = weight.copy()
    bad_weight[~valid] = np.nan
    for reduction in REDUCTIONS:
        results = []
        for predictions, weights in ((p, weight), (bad, bad_weight)):
            arguments = [kernels.to_device(x) for x in (t, predictions)]
            options = {
                "loss": loss,
                "reduction": reduction,
                "sample_weight": kernels.to_device(weights),
            }
            results.append(
                [x.numpy().tobytes() for x in kernels.masked_loss(*arguments, **options)]
                + [kernels.masked_loss_gradient(*arguments, **options).numpy().tobytes()]
            )
        assert results[0] == results[1]


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("loss", formulas.LOSSES)
def test_divergence_is_not_hidden(kernels, rng, loss, number):
    t, p, valid = example(kernels, loss, (50,), "float32", rng)
    p[np.flatnonzero(valid)[7]] = number
    found = kernels.masked_loss(*map(kernels.to_device, (t, p)), loss=loss)[0].numpy()
    assert not np.isfinite(found)


def test_the_same_bits_on_every_run(kernels, emulated, rng):
    size = 30_000 if emulated else 10_000_000
    t, p, _ = example(kernels, "log_cosh", (size // 10, 10), "float32", rng)
    weight = rng.random((size // 10, 1)).astype(np.float32)
    arrays = [kernels.to_device(x) for x in (t, p, weight)]
    results = set()
    for _ in range(3 if emulated else 100):
        found = []
        for reduction in REDUCTIONS:
            options = {"loss": "log_cosh", "reduction": reduction}
            found += kernels.masked_loss(*arrays[:2], **options)
            found += kernels.masked_loss(*arrays[:2], sample_weight=arrays[2], **options)
        found += kernels.masked_group_sums(*arrays[:2], balance="feature")
        results.add(b"".join(x.numpy().tobytes() for x in found))
    assert len(results) == 1


@pytest.mark.parametrize(("prediction", "weight"), [(1e30, 1e-38), (0.3, 3e38)])
def test_a_scale_beyond_the_type_keeps_its_digits(kernels, prediction, weight):
    """1 / sum of weights times weight is 1, though one of them has few digits as a float32."""
    t = np.array([[0.0, np.nan]], np.float32)
    p = np.array([[prediction, 0.0]], np.float32)
    weight = np.array([weight], np.float32)
    options = {"reduction": "mean_with_sample_weight"}
    want = kernels.masked_loss_gradient(t, p, sample_weight=weight, **options)
    np.testing.assert_allclose(want, 2 * p, rtol=3e-7)
    found = kernels.masked_loss_gradient(
        *map(kernels.to_device, (t, p)), sample_weight=kernels.to_device(weight), **options
    )
    assert found.numpy().tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_numbers_as_on_the_cpu(kernels, dtype):
    """No difference and no product overflows, no power is infinite, no epsilon is lost."""
    largest, tiny = float(np.finfo(dtype).max), 1e-9 if dtype == "float32" else 1e-18
    focal = "binary_focal_crossentropy_from_logits"
    for loss, parameters, t, p in (
        ("absolute_percentage_error", {}, -largest, largest),
        ("pinball", {}, -largest, largest),
        ("huber", {"delta": 0.25}, -largest, largest),
        ("poisson", {}, largest / np.log(largest) * 1.5, largest),
        ("binary_crossentropy", {"epsilon": tiny}, 1, 1),
        ("binary_crossentropy", {"epsilon": tiny}, 0, 1),
        ("binary_focal_crossentropy", {"epsilon": tiny}, 0, 1),
        *((focal, {"gamma": g}, t, p) for g in (0, 0.5, 2) for t in (0, 1) for p in (-1e4, 1e4)),
        *((focal, {"gamma": g}, t, p) for g in (0, 0.5, 2) for t in (0, 1) for p in (-17, 40)),
    ):
        arrays = [np.array([x], dtype) for x in (t, p)]
        on_device = [kernels.to_device(x) for x in arrays]
        arguments = {"loss": loss, **parameters}
        want = [kernels.masked_loss(*arrays, **arguments)[0]]
        want += list(kernels.masked_loss_gradient(*arrays, **arguments))
        found = [kernels.masked_loss(*on_device, **arguments)[0].numpy()]
        found += list(kernels.masked_loss_gradient(*on_device, **arguments).numpy())
        assert np.all(np.isfinite(want)), (loss, parameters, t, p)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        least = 4 * np.finfo(dtype).tiny
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=least, err_msg=loss)
