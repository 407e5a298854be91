"""Prints docs/why.md: the pitfalls of a masked loss, as code that is run, beside masklstm.

    python docs/scripts/why.py > docs/why.md

A pitfall is a function: its docstring says what goes wrong, its body is the code that people write
(and that the page shows), and the page's figures are what it returns.
"""

import functools
import inspect
import os
import textwrap

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import masklstm

# Two devices for the last pitfall; TensorFlow splits them only before its first op.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

NAN = float("nan")

# Five labels, two of them missing, and five predictions.
y_true = tf.constant([1.0, NAN, 3.0, NAN, 5.0])
y_pred = tf.constant([2.0, 2.0, 5.0, 4.0, 5.0])

INTRODUCTION = """\
# Why not a few lines of TensorFlow?

Everybody whose labels have gaps writes the same loss, and most versions of it have one of the
faults below. Each is shown on five elements: the code people usually write, what it returns, and
what masklstm returns for the same data. This page is printed by [why.py](scripts/why.py), which
runs the code.

```python
y_true = tf.constant([1.0, nan, 3.0, nan, 5.0])
y_pred = tf.constant([2.0, 2.0, 5.0, 4.0, 5.0])
```

The squared errors of the three labels that exist are 1, 4 and 0: the loss is 5/3, and its gradient
with respect to the predictions is [2/3, 0, 4/3, 0, 0].
"""


def value_and_gradient(loss, y_true=y_true, y_pred=y_pred):
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred)
    return value, tape.gradient(value, y_pred)


def ours(**options):
    return value_and_gradient(masklstm.losses.MeanSquaredError(**options))


class Trap:
    """One section: the usual code, and masklstm's line."""

    def __init__(self, title, usual, masked, masked_code):
        self.title, self.usual, self.masked, self.masked_code = title, usual, masked, masked_code

    def print(self):
        text, code = split(self.usual)
        usual, masked = self.usual(), self.masked()
        print(f"\n## {self.title}\n\n{text}\n")
        print(f"```python\n{code}```\n")
        print(f"| | {' | '.join(usual)} |\n| --- |{' --- |' * len(usual)}")
        print(f"| the code above | {' | '.join(show(x) for x in usual.values())} |")
        print(f"| {self.masked_code} | {' | '.join(show(masked[key]) for key in usual)} |")


def split(function):
    """A function's docstring, and its body without it and without the last line that returns."""
    text = textwrap.dedent(inspect.getdoc(function) or "")
    body = inspect.getsource(function).split('"""', 2)[2]
    lines = textwrap.dedent(body).strip("\n").splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if line.startswith("return"))
    return text, "".join(lines[:end]).strip("\n") + "\n"


def show(x):
    """Whole numbers as they are, others with four digits."""
    x = np.asarray(x)
    texts = [
        f"{int(value):,}" if float(value).is_integer() else f"{float(value):.4g}"
        for value in np.ravel(x)
    ]
    return texts[0] if x.ndim == 0 else f"[{', '.join(texts)}]"


def multiply_by_the_mask():
    """NaN times 0 is NaN: multiplying by a mask does not hide it, and neither does
    `sample_weight=0`.
    """

    def loss(y_true, y_pred):
        mask = tf.cast(~tf.math.is_nan(y_true), y_pred.dtype)
        return tf.reduce_sum(mask * tf.square(y_pred - y_true)) / tf.reduce_sum(mask)

    value, gradient = value_and_gradient(loss)
    return {"loss": value, "gradient": gradient}


def select_the_output():
    """`tf.where` around the result makes the loss right and the gradient NaN: the gradient of
    the square is NaN where the label is, and the 0 that `tf.where` passes back to it does not
    help, since NaN times 0 is NaN.
    """

    def loss(y_true, y_pred):
        valid = ~tf.math.is_nan(y_true)
        losses = tf.where(valid, tf.square(y_pred - y_true), 0.0)
        return tf.reduce_sum(losses) / tf.reduce_sum(tf.cast(valid, y_pred.dtype))

    value, gradient = value_and_gradient(loss)
    return {"loss": value, "gradient": gradient}


def divide_by_everything():
    """The gaps are filled, the loss is finite, and it is divided by all five elements instead
    of by three: the more gaps a batch has, the less it counts.
    """

    def loss(y_true, y_pred):
        filled = tf.where(tf.math.is_nan(y_true), y_pred, y_true)
        return tf.reduce_mean(tf.square(y_pred - filled))

    value, gradient = value_and_gradient(loss)
    return {"loss": value, "gradient": gradient}


def count_in_float():
    """float32 has no odd numbers beyond 2^24: a count that grows by one no longer grows.
    float16 ends at 65,504, and an int32 turns negative at 2^31. Here the five elements are the
    counts of five batches.
    """
    float32_count = tf.Variable(0.0)
    for batch in [2**24, 1, 1, 1, 1]:
        float32_count.assign_add(tf.cast(batch, tf.float32))
    float16_count = tf.reduce_sum(tf.cast([20_000] * 5, tf.float16))
    int32_count = tf.reduce_sum(tf.constant([500_000_000] * 5, tf.int32))
    return {
        "16,777,220 labels": float32_count,
        "100,000 labels": float16_count,
        "2,500,000,000 labels": int32_count,
    }


def count_in_int64():
    def count(size):
        labels = tf.zeros([size], tf.bool)
        return masklstm.ops.masked_sums(labels, tf.cast(labels, tf.float16)).valid_count

    own_type = count(5).dtype
    return {
        "16,777,220 labels": count(2**24 + 4),
        "100,000 labels": count(100_000),
        "2,500,000,000 labels": tf.reduce_sum(tf.constant([500_000_000] * 5, own_type)),
    }


def square_in_float16():
    """With `mixed_float16` the predictions are float16, whose largest number is 65,504: an
    error of 300 has the square inf.
    """
    half_true = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0], tf.float16)
    half_pred = tf.constant([1.0, 2.0, 3.0, 4.0, 305.0], tf.float16)
    losses = tf.square(half_pred - half_true)
    return {"loss": tf.reduce_mean(losses)}


def square_in_float32():
    half_true = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0], tf.float16)
    half_pred = tf.constant([1.0, 2.0, 3.0, 4.0, 305.0], tf.float16)
    return {"loss": masklstm.ops.masked_loss(half_true, half_pred)}


def drop_whole_rows():
    """Five labels in rows of two outputs, and a sixth is missing. A weight for each row, which
    is all that Keras's `sample_weight` can express, drops the row's other label too.
    """
    rows_true = tf.constant([[1.0, NAN], [3.0, 0.0], [2.0, 1.0]])
    rows_pred = tf.constant([[4.0, 2.0], [3.0, 1.0], [2.0, 3.0]])
    has_all = tf.cast(~tf.reduce_any(tf.math.is_nan(rows_true), axis=-1), tf.float32)
    filled = tf.where(tf.math.is_nan(rows_true), 0.0, rows_true)
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    value = loss(filled, rows_pred, has_all)
    return {"loss": value, "labels used": 2 * tf.cast(tf.reduce_sum(has_all), tf.int64)}


def drop_the_element():
    rows_true = tf.constant([[1.0, NAN], [3.0, 0.0], [2.0, 1.0]])
    rows_pred = tf.constant([[4.0, 2.0], [3.0, 1.0], [2.0, 3.0]])
    return {
        "loss": masklstm.losses.MeanSquaredError()(rows_true, rows_pred),
        "labels used": masklstm.ops.masked_sums(rows_true, rows_pred).valid_count,
    }


def batch_without_a_label():
    """Sooner or later a batch has no label at all. 0/0 is NaN, which spoils the epoch's mean and
    every callback that watches it. (With `divide_no_nan`, a validation set without labels gets the
    perfect score 0.0. masklstm's loss is 0 as well, since training must go on; `valid_count` of
    `masklstm.ops.masked_sums(...)` tells that there was no label.)
    """

    def loss(y_true, y_pred):
        valid = ~tf.math.is_nan(y_true)
        error = tf.boolean_mask(y_pred, valid) - tf.boolean_mask(y_true, valid)
        return tf.reduce_mean(tf.square(error))

    no_labels = tf.fill([5], NAN)
    value, gradient = value_and_gradient(loss, no_labels)
    return {"loss": value, "gradient": gradient}


def batch_without_a_label_masked():
    value, gradient = value_and_gradient(masklstm.losses.MeanSquaredError(), tf.fill([5], NAN))
    return {"loss": value, "gradient": gradient}


def train_half(loss):
    """Weight and loss scale after three steps on five samples in mixed precision."""
    keras.utils.set_random_seed(0)
    start = keras.initializers.Constant(0.5)
    layer = keras.layers.Dense(1, kernel_initializer=start, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((1,)), layer])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    model.compile(optimizer, loss)
    x, y = np.arange(5.0)[:, None] / 10, y_true.numpy()[:, None] / 10
    model.fit(x, y, epochs=3, batch_size=5, verbose=0)
    return {
        "weight, 0.5 at the start": model.get_weights()[0][0, 0],
        "loss scale, 32,768 at the start": float(optimizer.dynamic_scale),
    }


def loss_scaling_hides_it():
    """In mixed precision Keras looks for NaN in the gradients, takes it for an overflow, skips
    the step and halves the loss scale, all silently. Nothing is learnt, and no NaN appears in the
    weights.
    """
    loss = keras.losses.MeanSquaredError()
    return train_half(loss)


@functools.cache
def two_devices():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def train_on_replicas(loss):
    """The weight after one SGD step on five samples, on one device and on two of unequal shares."""
    results = {}
    for strategy in (tf.distribute.get_strategy(), two_devices()):
        with strategy.scope():
            weight = tf.Variable(0.0)
            optimizer = keras.optimizers.SGD(0.1)
            optimizer.build([weight])

        @tf.function
        def step(t, p, weight=weight, optimizer=optimizer):
            with tf.GradientTape() as tape:
                value = loss(t, weight * p)
            optimizer.apply_gradients([(tape.gradient(value, weight), weight)])

        data = tf.data.Dataset.from_tensor_slices((y_true[:, None], y_pred[:, None])).batch(5)
        (batch,) = strategy.experimental_distribute_dataset(data)
        strategy.run(step, batch)
        number = strategy.num_replicas_in_sync
        results[f"weight after a step, {number} device{'s' * (number > 1)}"] = weight.numpy()
    return results


def mean_of_each_replica():
    """Keras adds up the gradients of the replicas. If a loss's `call` returns a mean, it is not
    divided by their number, so each step is twice as long. Divided by it, it would be a mean of
    means, in which the replica with two labels counts as much as the one with one.
    """

    class MaskedError(keras.losses.Loss):
        def call(self, y_true, y_pred):
            valid = ~tf.math.is_nan(y_true)
            error = tf.where(valid, y_pred - tf.where(valid, y_true, 0.0), 0.0)
            count = tf.reduce_sum(tf.cast(valid, y_pred.dtype))
            return tf.math.divide_no_nan(tf.reduce_sum(tf.square(error)), count)

    return train_on_replicas(MaskedError())


def named(value_and_gradient):
    return dict(zip(("loss", "gradient"), value_and_gradient, strict=True))


LOSS = "`masklstm.losses.MeanSquaredError()`"
TRAPS = [
    Trap("Multiplying by the mask", multiply_by_the_mask, lambda: named(ours()), LOSS),
    Trap("Selecting the output", select_the_output, lambda: named(ours()), LOSS),
    Trap("Dividing by the wrong number", divide_by_everything, lambda: named(ours()), LOSS),
    Trap("Counting in floats", count_in_float, count_in_int64, "`valid_count`, an int64"),
    Trap(
        "Squares in half precision",
        square_in_float16,
        square_in_float32,
        "`masklstm.ops.masked_loss`",
    ),
    Trap("A weight for each row", drop_whole_rows, drop_the_element, LOSS),
    Trap("A batch without a label", batch_without_a_label, batch_without_a_label_masked, LOSS),
    Trap(
        "Loss scaling",
        loss_scaling_hides_it,
        lambda: train_half(masklstm.losses.MeanSquaredError()),
        LOSS,
    ),
    Trap(
        "Several replicas",
        mean_of_each_replica,
        lambda: train_on_replicas(masklstm.losses.MeanSquaredError()),
        LOSS,
    ),
]


def main():
    print(INTRODUCTION, end="")
    for trap in TRAPS:
        trap.print()


if __name__ == "__main__":
    main()
