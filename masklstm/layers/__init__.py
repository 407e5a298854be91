"""Keras layers for inputs with gaps: they mask or fill NaN so that it cannot spread.

What is exported of them consists of Keras's ops only: it does not need masklstm.
(`MaskedLoss` computes a loss and is for training.)

* `Normalization`: scales by what was observed, and back
* `Masking`: a `keras.layers.Masking` that understands NaN
* `Impute`: fills partly missing inputs and says what was missing
* `LSTM`, `GRU`: Keras's own, faster on a CPU, whatever the mask
* `GRUD`: a GRU that knows how long ago each input was observed
* `MaskedMean`: the mean of what several products say, over those that are there
* `MissingDropout`: makes inputs missing while a model is trained
* `Distribution`: the head of a model that predicts distributions
* `MaskedLoss`: an endpoint that adds a loss and passes the predictions on
"""

from masklstm.layers.distribution import Distribution
from masklstm.layers.gru_d import GRUD
from masklstm.layers.impute import Impute
from masklstm.layers.masked_loss import MaskedLoss
from masklstm.layers.masked_mean import MaskedMean
from masklstm.layers.masking import Masking
from masklstm.layers.missing_dropout import MissingDropout
from masklstm.layers.normalization import Normalization
from masklstm.layers.recurrent import GRU, LSTM

__all__ = [
    "GRU",
    "GRUD",
    "LSTM",
    "Distribution",
    "Impute",
    "MaskedLoss",
    "MaskedMean",
    "Masking",
    "MissingDropout",
    "Normalization",
]
