"""``masklstm demo``: forecast a series whose labels have gaps, and compare.

What is where:

* ``command.py``: the run from start to end
* ``options.py``: the options, and what they are checked for
* ``gaps.py``: counts missing labels and gaps
* ``examples.py``: turns the table into inputs, labels and windows, without a look into the future
* ``removal.py``: takes labels away, in blocks
* ``forecast.py``: the model and its training
* ``ways.py``: plain Keras, mean-filled and masked, seed by seed
* ``fan.py``, ``speed.py``: a forecast of distributions; the time of an epoch
* ``evaluation.py``, ``intervals.py``: errors over the observed rows, and the rival that nothing
  changes; means with their intervals
* ``report.py``: what is printed, and ``result.json``
* ``picture.py``: ``forecast.png``
* ``beijing_pm25.csv.gz``, ``DATA.md``: the data that ships with the package, and where it is from

Only ``forecast.py``, ``ways.py``, ``fan.py`` and ``speed.py`` use TensorFlow, and only
``picture.py`` matplotlib; ``command.run`` imports them late, after all that can fail fast.
"""
