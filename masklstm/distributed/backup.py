"""`BackupAndRestore`: a training of several workers that goes on after an interruption."""

import os
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from masklstm._core import keras_compat
from masklstm._core.files import written_whole
from masklstm._core.workers import have_company, numbers_of_workers, place_of


class BackupAndRestore(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Saves the model at the end of each epoch, and goes on from there when `fit` is called anew.

    Formula: `fit` that was interrupted in epoch e and is called again, with this callback and the
    same data, ends as an undisturbed one: it begins with the weights, the optimizer's state and
    that of random layers, such as Dropout, of the end of epoch e - 1, and windows that have a
    `seed` are in the order of epoch e.

    Differs from `keras.callbacks.BackupAndRestore`, which forgets random layers, and which every
    worker writes by itself: an interruption between their writes leaves workers in different
    epochs, or a file that is half written. Here the first worker writes for all, each file appears
    under its name when it is complete, and before a training begins the workers compare from which
    epoch they go on. What other callbacks have seen, such as the best loss so far, is not saved.

    Args:
        backup_dir: A folder that all workers share, of this training alone. It is created.
        delete_checkpoint: Whether what was saved is deleted when the training has ended.

    Raises:
        ValueError: For a folder that is not shared, so that workers would go on from different
            epochs, and for one of another model.

    Example:

    >>> import keras, masklstm, numpy as np, tempfile
    >>> x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", loss=masklstm.losses.MeanSquaredError())
    >>> backup = masklstm.distributed.BackupAndRestore(tempfile.mkdtemp())
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[backup])

    Source: `keras.callbacks.BackupAndRestore`.
    """

    def __init__(
        self, backup_dir: str | os.PathLike[str], *, delete_checkpoint: bool = True
    ) -> None:
        super().__init__()
        self.backup_dir = Path(backup_dir)
        self.delete_checkpoint = delete_checkpoint

    def on_train_begin(self, logs: Any = None) -> None:
        strategy = self.model.distribute_strategy
        if self._is_first():
            for unfinished in self.backup_dir.glob(".*.npz"):  # of a process that was killed
                unfinished.unlink()
        found = self._files()
        epoch = max(found, default=0)
        if have_company(strategy):
            epochs = numbers_of_workers(strategy, epoch)
            if np.any(epochs != epochs[0]):
                raise ValueError(
                    "Expected 'backup_dir' to be a folder that all workers share. Received: "
                    f"backup_dir={str(self.backup_dir)!r}, from which the workers would go on "
                    f"with the epochs {', '.join(map(str, epochs + 1))}"
                )
        if epoch:
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._load(found[epoch])
            keras_compat.begin_with_epoch(self.model, epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._is_first():
            self.backup_dir.mkdir(parents=True, exist_ok=True)
            older = self._files().values()
            with written_whole(self.backup_dir / f"epoch-{epoch + 1:06d}.npz") as file:
                np.savez(file, *map(_as_numpy, self._variables()))
            for path in older:
                path.unlink(missing_ok=True)

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint and self._is_first():
            for file in self._files().values():
                file.unlink(missing_ok=True)

    def _variables(self) -> list[Any]:
        """All but those of metrics, which begin anew with each epoch."""
        model = self.model
        of_metrics = set(map(id, model.metrics_variables))
        own = [each for each in model.variables if id(each) not in of_metrics]
        return [*own, *model.optimizer.variables]

    def _load(self, path: Path) -> None:
        variables = self._variables()
        with np.load(path) as file:
            arrays = [file[name] for name in file.files]
        if [each.shape for each in arrays] != [tuple(each.shape) for each in variables]:
            raise ValueError(
                "Expected 'backup_dir' to be of this model and optimizer. Received: "
                f"backup_dir={str(self.backup_dir)!r}, whose {path.name} has variables of other "
                "shapes: take a folder for each training"
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def _is_first(self) -> bool:
        return place_of(self.model.distribute_strategy)[0] == 0

    def _files(self) -> dict[int, Path]:
        """What has been saved, by the number of epochs behind it."""
        files = self.backup_dir.glob("epoch-*.npz")
        numbers = ((re.fullmatch(r"epoch-(\d+)\.npz", file.name), file) for file in files)
        return {int(match[1]): file for match, file in numbers if match}


def _as_numpy(variable: Any) -> NDArray[Any]:
    array: NDArray[Any] = keras.ops.convert_to_numpy(variable)
    # NumPy's files know no bfloat16; float32 holds its numbers.
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
