"""The losses of river-dl, which trains networks of rivers, each as a line of masklstm's

For labels of the shape (reaches, steps, variables) with gaps, river-dl computes over what is
observed:

- rmse: the root of the mean squared error over all variables together.
- multitask_rmse: the sum of each variable's own root, times its lambda.
- nnse_loss: 1 - NNSE with NNSE = 1 / (2 - NSE), and NSE = 1 - (sum of squared errors) / (sum of
  squared distances of the labels from their mean), all labels of a batch as one series.
- samplewise_nnse_loss: the same of the mean of NSE over the reaches. river-dl measures a reach's
  labels from the mean of the batch and adds 0.1 to each distance, also where there is no label;
  here they are measured from their own mean, and 0.1 is added to their deviation.
- kge_loss: -KGE = distance - 1 with the distance of correlation, ratio of deviations and ratio of
  means from 1. river-dl reads the predictions under gaps too, in mean and deviation; here all
  three are of the steps that have a label. All labels of a batch are one series.

The classes of masklstm are exact over several replicas and in metrics.Loss; of the functions made
of them here, only the gradient on one device is.
"""

from typing import Any

import keras
import tensorflow as tf

import masklstm

LAMBDAS = {"flow": 1.0, "temperature": 0.5}

_nse = masklstm.losses.NashSutcliffeEfficiency(epsilon=0.0)
_reaches_nse = masklstm.losses.NashSutcliffeEfficiency(epsilon=0.1)
_kge = masklstm.losses.KlingGuptaEfficiency()


def one_series(y):
    """All numbers of a batch as the steps of one series."""
    return tf.reshape(y, [1, -1])


rmse = masklstm.losses.RootMeanSquaredError(pooled=True)
multitask_rmse = masklstm.losses.Sum(
    {name: (rmse, weight, [n]) for n, (name, weight) in enumerate(LAMBDAS.items())}
)


def nnse_loss(y_true, y_pred):
    return 1 - 1 / (1 + _nse(one_series(y_true), one_series(y_pred)))


def samplewise_nnse_loss(y_true, y_pred):
    return 1 - 1 / (1 + _reaches_nse(y_true, y_pred))


def kge_loss(y_true, y_pred):
    return _kge(one_series(y_true), one_series(y_pred)) - 1


LOSSES: dict[str, Any] = {
    "rmse": rmse,
    "multitask_rmse": multitask_rmse,
    "nnse_loss": nnse_loss,
    "samplewise_nnse_loss": samplewise_nnse_loss,
    "kge_loss": kge_loss,
}


def five_steps():
    """Labels and predictions of a reach: flow and temperature, three of ten not observed."""
    nan = float("nan")
    flow = [1.0, 2.0, nan, 4.0, 5.0], [1.0, 3.0, 9.0, 4.0, 4.0]
    temperature = [10.0, nan, 12.0, nan, 14.0], [12.0, 0.0, 12.0, 99.0, 14.0]
    pairs = zip(flow, temperature, strict=True)
    y_true, y_pred = (tf.transpose(tf.constant([pair])[0])[None] for pair in pairs)
    return y_true, y_pred


def main():
    y_true, y_pred = five_steps()
    print("Five steps of flow and temperature, seven of ten labels observed:\n")
    for name, loss in LOSSES.items():
        print(f"{name:22}{float(loss(y_true, y_pred)):9.5f}")
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("adam", multitask_rmse, metrics=multitask_rmse.metrics())
    print("\nIn the logs of fit:", *model.evaluate(y_pred, y_true, verbose=0, return_dict=True))


if __name__ == "__main__":
    main()
