"""The study: does masking missing labels beat imputing them?

What is where:

* ``design.py``: what is run: conditions, methods, seeds, the model's settings
* ``removal.py``: takes labels away, at random or in blocks
* ``methods.py``: what each method makes of the labels that are left
* ``training.py``: one training and its errors; all that needs TensorFlow
* ``workers.py``: trainings side by side
* ``tuning.py``: how the model's settings were chosen
* ``results.py``: the file that every training is written to, and what is read from it
* ``layers.py``: whether masklstm's LSTM and Keras's make the same study
* ``intervals.py``: means with their 95% intervals
* ``comparison.py``: each method against masking
* ``report.py``, ``conclusions.py``, ``plot.py``: the page, its sentences and its picture

``../study.py`` is the command.
"""
