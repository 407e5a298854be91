"""Losses of several predictions for each label, against TensorFlow's graph of the same formula."""
