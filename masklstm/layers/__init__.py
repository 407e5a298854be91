"""Keras layers for inputs with gaps: masks and fillings that NaN cannot get past.

They consist of Keras's ops alone: an exported model that holds them needs nothing of masklstm.
(`MaskedLoss` computes a loss and belongs to training.)

* `Masking`: `keras.layers.Masking` that understands NaN
* `Impute`: fills partly missing inputs and says what was missing
* `LSTM`, `GRU`: Keras's own, on cuDNN whatever the mask
* `MaskedLoss`: an endpoint that adds a loss and passes the predictions on
"""

from masklstm.layers.impute import Impute
from masklstm.layers.masked_loss import MaskedLoss
from masklstm.layers.masking import Masking
from masklstm.layers.recurrent import GRU, LSTM

__all__ = ["GRU", "LSTM", "Impute", "MaskedLoss", "Masking"]
