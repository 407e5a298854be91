"""`BackupAndRestore`: a training of several workers that goes on after an interruption."""

import os
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from masklstm._core import keras_compat
from masklstm._core.workers import have_company, numbers_of_workers, place_of


class BackupAndRestore(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Saves the model at the end of each epoch, and goes on from there when `fit` is called anew.

    Formula: `fit` that was interrupted in epoch e and is called again, with this callback and the
    same data, ends as an undisturbed one: it begins with the weights, the optimizer's state and
    the counts of random layers of the end of epoch e - 1, and windows that have a `seed` are in
    the order of epoch e.

    Differs from `keras.callbacks.BackupAndRestore`, which every worker writes by itself: an
    interruption between their writes leaves workers in different epochs, or a file that is half
    written. Here the first worker writes for all, each file appears under its name when it is
    complete, and before a training begins the workers compare from which epoch they go on.

    Args:
        backup_dir: A folder that all workers share, of this training alone. It is created.
        delete_checkpoint: Whether what was saved is deleted when the training has ended.

    Raises:
        ValueError: For a folder that is not shared: workers would go on from different epochs.

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
            self.model.load_weights(found[epoch])
            keras_compat.begin_with_epoch(self.model, epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._is_first():
            self.backup_dir.mkdir(parents=True, exist_ok=True)
            complete = self.backup_dir / f"epoch-{epoch + 1:06d}.weights.h5"
            begun = complete.with_name("unfinished.weights.h5")
            older = self._files().values()
            self.model.save_weights(begun, overwrite=True)
            begun.replace(complete)
            for file in older:
                file.unlink(missing_ok=True)

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint and self._is_first():
            for file in self._files().values():
                file.unlink(missing_ok=True)

    def _is_first(self) -> bool:
        return place_of(self.model.distribute_strategy)[0] == 0

    def _files(self) -> dict[int, Path]:
        """What has been saved, by the number of epochs behind it."""
        files = self.backup_dir.glob("epoch-*.weights.h5")
        numbers = ((re.fullmatch(r"epoch-(\d+)\.weights\.h5", file.name), file) for file in files)
        return {int(match[1]): file for match, file in numbers if match}
