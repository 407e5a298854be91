"""``masklstm demo``: forecast a series whose labels have gaps, and compare.

What is where:

* ``command.py``: the run from start to end
* ``options.py``: the options, and what they are checked for
* ``table.py``: reads the CSV file; its messages say what is wrong with a file
* ``gaps.py``: counts missing labels and gaps
* ``examples.py``: turns the table into inputs, labels and windows, without a look into the future
* ``forecast.py``: the model and its training
* ``evaluation.py``: errors over the observed rows, and the rival that nothing changes
* ``report.py``: what is printed, and ``result.json``
* ``picture.py``: ``forecast.png``
* ``beijing_pm25.csv.gz``, ``DATA.md``: the data that ships with the package, and where it is from

Only ``forecast.py`` uses TensorFlow and only ``picture.py`` matplotlib; ``command.run`` imports
both late, after all that can fail fast.
"""
