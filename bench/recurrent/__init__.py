"""LSTM and GRU layers against each other: `python -m bench.recurrent`."""
