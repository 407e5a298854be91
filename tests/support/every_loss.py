"""One of each loss."""

from masklstm import losses


def every_loss():
    """Functions that make one, by the names of the classes."""
    made = {name: getattr(losses, name) for name in losses.__all__ if name not in ("Masked", "Sum")}
    made["Masked"] = lambda **options: losses.Masked("cosine_similarity", **options)
    made["Sum"] = lambda: losses.Sum(
        {"a": losses.Huber(), "b": (losses.MeanSquaredError(), 0.5, [0, 2])}
    )
    assert made.keys() == set(losses.__all__)
    return made
