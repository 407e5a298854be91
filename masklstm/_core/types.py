"""The types there are: of labels, of predictions, and the one that a loss is computed in."""

import tensorflow as tf

PREDICTION_DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)

INTEGER_DTYPES = (tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64)

LABEL_DTYPES = (*PREDICTION_DTYPES, *INTEGER_DTYPES, tf.bool)


def computing_dtype(y_pred: tf.Tensor) -> tf.DType:
    return tf.float64 if y_pred.dtype == tf.float64 else tf.float32


def cast(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)
