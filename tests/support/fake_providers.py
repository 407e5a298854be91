"""Providers for the tests of the benchmark: wrong ones, in processes that need no TensorFlow."""

import itertools
from types import SimpleNamespace

import numpy as np

from bench import providers, worker


def altered(name):
    """NumPy's provider, or one that is wrong in the way that its name says."""
    from bench.providers import numpy_where

    def make(case, arrays):
        run = numpy_where.make(case, arrays)
        calls = itertools.count()

        def altered_run():
            loss, gradient = run()
            if name == "wrong later" and next(calls) >= 2:  # after those of prepare()
                loss = loss * 1.01
            if name == "wrong count":  # divides by all elements
                loss = loss * np.mean(~np.isnan(arrays.y_true))
            if name == "wrong gradient":
                gradient = np.where(gradient == 0, np.float32(1e-3), gradient)
            if name == "nan":
                loss = np.float32(np.nan)
            if name == "dies":
                raise SystemExit(3)
            return loss, gradient

        return altered_run

    if name == "absent":
        raise ImportError("no such library")
    return SimpleNamespace(NAME=name, make=make)


def serve(connection, name):
    """Runs in the worker's process."""
    providers.load = altered
    worker.serve(connection, name)
