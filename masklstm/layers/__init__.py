"""Keras layers for inputs with gaps: they mask or fill NaN so that it cannot spread.

What is exported of them consists of Keras's ops only: it does not need masklstm.
(`MaskedLoss` computes a loss and is for training.)

* `Masking`: a `keras.layers.Masking` that understands NaN
* `Impute`: fills partly missing inputs and says what was missing
* `LSTM`, `GRU`: Keras's own, faster on a CPU, whatever the mask
* `Distribution`: the head of a model that predicts distributions
* `MaskedLoss`: an endpoint that adds a loss and passes the predictions on
"""

from masklstm.layers.distribution import Distribution
from masklstm.layers.impute import Impute
from masklstm.layers.masked_loss import MaskedLoss
from masklstm.layers.masking import Masking
from masklstm.layers.recurrent import GRU, LSTM

__all__ = ["GRU", "LSTM", "Distribution", "Impute", "MaskedLoss", "Masking"]
