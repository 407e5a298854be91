"""`MissingDropout`: training for gaps to come."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from masklstm._core.refusals import number_or_nan, out_of_domain
from masklstm._core.shown import ShowsArguments
from masklstm.layers._missing import check_series


@keras.saving.register_keras_serializable(package="masklstm")
class MissingDropout(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Makes inputs missing at random while a model is trained.

    Formula: in training, `inputs[b, t, f]` becomes NaN with probability `step`, for each row, step
    and product anew, and with probability `sequence` for a whole row of a product at once. A
    product is a feature, or several that fail together. Otherwise the inputs pass unchanged.

    A model that has seen few gaps fails at the first long one. Put this layer first, and behind it
    one that fills or masks NaN (`Impute`, `Masking`, `GRUD`, `MaskedMean`).

    Args:
        step: Probability that a product is missing at a step.
        sequence: Probability that a product is missing in a whole row.
        products: Which features are missing together, as `[[0, 1], [2]]`; each feature by itself
            by default. Features of no product are never made missing.
        seed: Of the random numbers.
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Shape `(batch, time, features)`, floating point.
        training: Whether to make anything missing.

    Returns:
        The inputs' shape, in the layer's `compute_dtype`.

    Raises:
        ValueError: For probabilities outside of [0, 1], products that are no features of the
            inputs or share one, inputs with other axes or no NaN.

    Example:

    >>> import masklstm, numpy as np
    >>> layer = masklstm.layers.MissingDropout(step=0.1, sequence=0.05, products=[[0, 1], [2]])
    >>> x = layer(np.zeros((64, 365, 3), "float32"), training=True).numpy()
    >>> bool(np.all(np.isnan(x[..., 0]) == np.isnan(x[..., 1])))
    True
    >>> bool(0.1 < np.isnan(x).mean() < 0.2)
    True

    Source: the options `nan_step_probability` and `nan_sequence_probability` of neuralhydrology.
    """

    def __init__(
        self,
        step: float = 0.0,
        sequence: float = 0.0,
        products: Sequence[Sequence[int]] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("step", step), ("sequence", sequence)):
            if not 0 <= number_or_nan(value) <= 1:
                raise out_of_domain(name, "[0, 1]", value)
        self.step, self.sequence, self.seed = float(step), float(sequence), seed
        self.products = None if products is None else [list(map(int, each)) for each in products]
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        features = check_series(input_shape)
        products = self.products or [[feature] for feature in range(features)]
        of_product = np.zeros((len(products), features), bool)
        for place, own in enumerate(products):
            if not all(0 <= feature < features for feature in own):
                raise ValueError(
                    f"Expected 'products' to hold features from 0 to {features - 1}. "
                    f"Received: products={self.products!r}"
                )
            of_product[place, own] = True
        if np.any(of_product.sum(axis=0) > 1):
            raise ValueError(
                f"Expected 'products' to share no feature. Received: products={self.products!r}"
            )
        self._of_product = of_product.astype("float32")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training or not (self.step or self.sequence):
            return inputs
        batch, time, _ = ops.shape(inputs)
        products = len(self._of_product)
        is_gone = ops.logical_or(
            self._drawn((batch, time, products), self.step),
            self._drawn((batch, 1, products), self.sequence),
        )
        # Each feature has one product at most: 1 where that is gone.
        is_gone = ops.matmul(ops.cast(is_gone, "float32"), self._of_product) > 0.5
        return ops.where(is_gone, ops.cast(float("nan"), inputs.dtype), inputs)

    def _drawn(self, shape: Any, probability: float) -> Any:
        return keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) < probability

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "step": self.step,
            "sequence": self.sequence,
            "products": self.products,
            "seed": self.seed,
        }
