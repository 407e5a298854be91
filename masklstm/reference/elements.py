"""The losses of one prediction for each label, from their definitions."""

import tensorflow as tf

from masklstm.reference.registry import element_loss


@element_loss()
def squared_error(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return tf.square(y_pred - y_true)


@element_loss()
def absolute_error(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return tf.abs(y_pred - y_true)


@element_loss(delta="(0, inf)")
def huber(y_true: tf.Tensor, y_pred: tf.Tensor, delta: float = 1.0) -> tf.Tensor:
    error = y_pred - y_true
    near = tf.clip_by_value(error, -delta, delta)  # so that the square cannot overflow
    far = 2 * (delta * (tf.abs(_half_difference(y_pred, y_true)) - 0.25 * delta))
    return tf.where(tf.abs(error) <= delta, 0.5 * tf.square(near), far)


def _half_difference(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Half of a - b, which cannot overflow."""
    return 0.5 * a - 0.5 * b


def _nan_if_diverged(y_pred: tf.Tensor) -> tf.Tensor:
    """0, or NaN for what is not finite; added where clipping would hide it."""
    return y_pred - y_pred


def _nan_of(x: tf.Tensor) -> tf.Tensor:
    """0, or for NaN a NaN with the slope NaN; added where a comparison gives NaN another slope."""
    return tf.square(tf.where(tf.math.is_nan(x), x, tf.zeros_like(x)))


@element_loss()
def log_cosh(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    error = tf.abs(y_pred - y_true)
    return error + tf.math.softplus(-2 * error) - tf.math.log(tf.constant(2.0, error.dtype))


@element_loss(epsilon="(0, 0.5)")
def absolute_percentage_error(
    y_true: tf.Tensor, y_pred: tf.Tensor, epsilon: float = 1e-7
) -> tf.Tensor:
    half = tf.abs(_half_difference(y_pred, y_true)) / tf.maximum(tf.abs(y_true), epsilon)
    return 200 * half


@element_loss(epsilon="(0, 0.5)")
def squared_logarithmic_error(
    y_true: tf.Tensor, y_pred: tf.Tensor, epsilon: float = 1e-7
) -> tf.Tensor:
    def log_of(x: tf.Tensor) -> tf.Tensor:
        return tf.math.log1p(tf.maximum(x, epsilon))

    value = tf.square(log_of(y_pred) - log_of(y_true))
    return value + _nan_if_diverged(y_pred) + _nan_of(y_pred)


@element_loss(epsilon="(0, 0.5)")
def poisson(y_true: tf.Tensor, y_pred: tf.Tensor, epsilon: float = 1e-7) -> tf.Tensor:
    quarter = 0.25 * y_pred - 0.25 * y_true * tf.math.log(y_pred + epsilon)
    return 4 * quarter  # either term alone could overflow


@element_loss(quantile="(0, 1)")
def pinball(y_true: tf.Tensor, y_pred: tf.Tensor, quantile: float = 0.5) -> tf.Tensor:
    half = _half_difference(y_true, y_pred)
    value = 2 * (quantile * tf.nn.relu(half) + (1 - quantile) * tf.nn.relu(-half))
    return value + _nan_of(half)


def _smoothed(y_true: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    return y_true * (1 - label_smoothing) + 0.5 * label_smoothing


def _clipped(y_pred: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The clipped probability and what is left to 1: epsilon also where it is lost beside 1."""
    below_1 = tf.where(y_pred < 1, y_pred, tf.stop_gradient(y_pred))
    clipped = tf.clip_by_value(below_1, epsilon, 1 - epsilon) + _nan_if_diverged(y_pred)
    return clipped, tf.where(clipped == 1, tf.constant(epsilon, clipped.dtype), 1 - clipped)


def _log(probability: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    """By the smaller one of the two, which has more digits."""
    near_1 = tf.math.log1p(-tf.minimum(rest, 0.5))
    return tf.where(probability < 0.5, tf.math.log(probability), near_1)


@element_loss(label_smoothing="[0, 1]", epsilon="(0, 0.5)")
def binary_crossentropy(
    y_true: tf.Tensor, y_pred: tf.Tensor, label_smoothing: float = 0.0, epsilon: float = 1e-7
) -> tf.Tensor:
    target = _smoothed(y_true, label_smoothing)
    clipped, rest = _clipped(y_pred, epsilon)
    return -(target * _log(clipped, rest) + (1 - target) * _log(rest, clipped))


@element_loss(label_smoothing="[0, 1]")
def binary_crossentropy_from_logits(
    y_true: tf.Tensor, y_pred: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    target = _smoothed(y_true, label_smoothing)
    return target * tf.math.softplus(-y_pred) + (1 - target) * tf.math.softplus(y_pred)


def _balanced_classes(
    target: tf.Tensor, alpha: float, apply_class_balancing: bool
) -> tf.Tensor | float:
    return target * alpha + (1 - target) * (1 - alpha) if apply_class_balancing else 1.0


@element_loss(
    gamma="[0, inf)",
    alpha="[0, 1]",
    apply_class_balancing="[0, 1]",
    from_logits="[0, 1]",
    label_smoothing="[0, 1]",
    epsilon="(0, 0.5)",
)
def binary_focal_crossentropy(
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    apply_class_balancing: bool = False,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    epsilon: float = 1e-7,
) -> tf.Tensor:
    if from_logits:
        return binary_focal_crossentropy_from_logits(
            y_true, y_pred, gamma, alpha, apply_class_balancing, label_smoothing
        )
    target = _smoothed(y_true, label_smoothing)
    clipped, rest = _clipped(y_pred, epsilon)
    wrong = target * rest + (1 - target) * clipped
    losses = tf.pow(wrong, gamma) * binary_crossentropy(target, y_pred, epsilon=epsilon)
    return losses * _balanced_classes(target, alpha, apply_class_balancing)


@element_loss(
    gamma="[0, inf)", alpha="[0, 1]", apply_class_balancing="[0, 1]", label_smoothing="[0, 1]"
)
def binary_focal_crossentropy_from_logits(
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    apply_class_balancing: bool = False,
    label_smoothing: float = 0.0,
) -> tf.Tensor:
    target = _smoothed(y_true, label_smoothing)
    losses = _power_of_wrong(target, y_pred, gamma) * binary_crossentropy_from_logits(
        target, y_pred
    )
    return losses * _balanced_classes(target, alpha, apply_class_balancing)


def _power_of_wrong(target: tf.Tensor, y_pred: tf.Tensor, gamma: float) -> tf.Tensor:
    """The probability of being wrong, to the power of gamma.

    An exponential for labels between 0 and 1: in logarithms, the probability is never 0. Other
    labels make it negative. Each way gets numbers that it can take where the other one is chosen.
    """
    is_probability = (target >= 0) & (target <= 1)
    share = tf.where(is_probability, target, tf.fill(tf.shape(target), tf.cast(0.5, target.dtype)))
    log_wrong = tf.reduce_logsumexp(
        [
            tf.math.log(share) - tf.math.softplus(y_pred),
            tf.math.log(1 - share) - tf.math.softplus(-y_pred),
        ],
        axis=0,
    )
    other = tf.where(is_probability, tf.zeros_like(y_pred), y_pred)
    wrong = target * tf.sigmoid(-other) + (1 - target) * tf.sigmoid(other)
    return tf.where(is_probability, tf.exp(gamma * log_wrong), tf.pow(wrong, gamma))
