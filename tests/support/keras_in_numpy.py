"""Keras's losses and metrics in NumPy, written from their definitions.

`LOSSES[name]` and `METRICS[name]` take the labels and predictions of what is counted alone:
elements as vectors, rows as matrices, class labels as a vector with a matrix of predictions.
"""

import numpy as np

EPSILON = 1e-7


def clipped(p):
    return np.clip(p, EPSILON, 1 - EPSILON)


def cross_entropy(t, p):
    p = clipped(p)
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def signs(t):
    """Labels 0 and 1 as -1 and 1."""
    return 2 * t - 1


def of_classes(t, p):
    """The predictions of the labels' classes."""
    return p[np.arange(len(t)), t.astype(int)]


def categorical(t, p):
    return -(t * np.log(clipped(p / p.sum(-1, keepdims=True)))).sum(-1)


def tversky(t, p, alpha=0.5, beta=0.5):
    both = (t * p).sum()
    wrong, lost = ((1 - t) * p).sum(), (t * (1 - p)).sum()
    return 1 - (both + EPSILON) / (both + alpha * wrong + beta * lost + EPSILON)


def circle(t, p, gamma=80.0, margin=0.4):
    """Of the similarities of embeddings of one class, and of different classes."""
    similar = np.maximum(p @ p.T, 0)  # Keras takes the embeddings as they are
    same = t[:, None] == t[None, :]
    positive, negative = same & ~np.eye(len(t), dtype=bool), ~same
    weight = np.maximum(1 + margin - similar, 0), np.maximum(similar + margin, 0)

    def log_sum(values, mask):
        return np.array(
            [
                np.logaddexp.reduce(row[keep]) if keep.any() else -np.inf
                for row, keep in zip(values, mask, strict=True)
            ]
        )

    total = log_sum(-gamma * weight[0] * (similar - (1 - margin)), positive) + log_sum(
        gamma * weight[1] * (similar - margin), negative
    )
    losses = np.logaddexp(0, total)
    return losses[losses > 0]


def ctc(label, logits):
    """By the forward recursion over the label with blanks (0) between its entries."""
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    states = np.zeros(2 * len(label) + 1, int)
    states[1::2] = label
    alpha = np.full(len(states), -np.inf)
    alpha[:2] = log_p[0, states[:2]]
    for frame in log_p[1:]:
        previous = alpha.copy()
        for state, entry in enumerate(states):
            ways = [previous[state]]
            if state > 0:
                ways.append(previous[state - 1])
            if state > 1 and entry != 0 and entry != states[state - 2]:
                ways.append(previous[state - 2])
            alpha[state] = np.logaddexp.reduce(ways) + frame[entry]
    return -np.logaddexp(alpha[-1], alpha[-2])


def cosine(t, p):
    return (t * p).sum(-1) / np.sqrt((t**2).sum(-1) * (p**2).sum(-1))


def log_difference(t, p):
    return (np.log1p(np.maximum(p, EPSILON)) - np.log1p(np.maximum(t, EPSILON))) ** 2


ELEMENTS = {
    "BinaryCrossentropy": cross_entropy,
    "BinaryFocalCrossentropy": lambda t, p: (t * (1 - p) + (1 - t) * p) ** 2 * cross_entropy(t, p),
    "Hinge": lambda t, p: np.maximum(1 - signs(t) * p, 0),
    "Huber": lambda t, p: np.where(abs(p - t) <= 1, (p - t) ** 2 / 2, abs(p - t) - 0.5),
    "LogCosh": lambda t, p: np.log(np.cosh(p - t)),
    "MeanAbsoluteError": lambda t, p: abs(p - t),
    "MeanAbsolutePercentageError": lambda t, p: 100 * abs(p - t) / np.maximum(abs(t), EPSILON),
    "MeanSquaredError": lambda t, p: (p - t) ** 2,
    "MeanSquaredLogarithmicError": log_difference,
    "Poisson": lambda t, p: p - t * np.log(p + EPSILON),
    "SquaredHinge": lambda t, p: np.maximum(1 - signs(t) * p, 0) ** 2,
}
ROWS = {
    "CategoricalCrossentropy": categorical,
    "CategoricalFocalCrossentropy": lambda t, p: (
        0.25 * (t * (1 - p) ** 2 * -np.log(clipped(p / p.sum(-1, keepdims=True)))).sum(-1)
    ),
    "CategoricalHinge": lambda t, p: np.maximum(((1 - t) * p).max(-1) - (t * p).sum(-1) + 1, 0),
    "CosineSimilarity": lambda t, p: -cosine(t, p),
    "KLDivergence": lambda t, p: (
        np.clip(t, EPSILON, 1) * np.log(np.clip(t, EPSILON, 1) / np.clip(p, EPSILON, 1))
    ).sum(-1),
}
CLASSES = {
    "CategoricalGeneralizedCrossEntropy": lambda t, p: (1 - of_classes(t, p) ** 0.5) / 0.5,
    "Circle": circle,
    "SparseCategoricalCrossentropy": lambda t, p: -np.log(clipped(of_classes(t, p))),
}


def mean_of(f):
    return lambda t, p: f(t, p).mean()


LOSSES = {
    **{name: mean_of(f) for name, f in {**ELEMENTS, **ROWS, **CLASSES}.items()},
    "CTC": lambda t, p: np.mean([ctc(*pair) for pair in zip(t, p, strict=True)]),
    "Dice": lambda t, p: 1 - (2 * (t * p).sum() + EPSILON) / (t.sum() + p.sum() + EPSILON),
    "Tversky": tversky,
}


def confusion(t, p, thresholds):
    """True positives, false positives, false negatives and true negatives at each threshold."""
    says = p[None] > np.asarray(thresholds)[:, None]
    return [
        (a & b).sum(-1).astype(float)
        for a, b in ((says, t == 1), (says, t == 0), (~says, t == 1), (~says, t == 0))
    ]


def over(a, b):
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def levels(number=200):
    inner = [(i + 1) / (number - 1) for i in range(number - 2)]
    return np.array([-EPSILON, *inner, 1 + EPSILON])


def auc(t, p):
    tp, fp, fn, tn = confusion(t, p, levels())
    recall, alarm = over(tp, tp + fn), over(fp, fp + tn)
    return ((recall[:-1] + recall[1:]) / 2 * (alarm[:-1] - alarm[1:])).sum()


def at(kind):
    """The largest value of one share of the confusion where another one is at least 1/2."""

    def metric(t, p):
        tp, fp, fn, tn = confusion(t, p, levels())
        shares = {
            "precision": over(tp, tp + fp),
            "recall": over(tp, tp + fn),
            "specificity": over(tn, tn + fp),
        }
        value, condition = kind
        return shares[value][shares[condition] >= 0.5].max(initial=0)

    return metric


def share(first, second):
    def metric(t, p, threshold=0.5):
        counts = dict(zip(("tp", "fp", "fn", "tn"), confusion(t, p, [threshold]), strict=True))
        return over(counts[first], counts[first] + counts[second])[0]

    return metric


def count(index):
    return lambda t, p: confusion(t, p, [0.5])[index][0]


def iou(t, p, classes):
    pairs = [((t == c) & (p == c)).sum() / ((t == c) | (p == c)).sum() for c in classes]
    return np.mean(pairs)


def mean_iou(t, p, number=4):
    return iou(t, p, [c for c in range(number) if np.any((t == c) | (p == c))])


def f_score(t, p, beta=1.0):
    """Of labels and decisions, 0 or 1."""
    tp, fp, fn = (t * p).sum(), ((1 - t) * p).sum(), (t * (1 - p)).sum()
    precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall + EPSILON)


def highest(p):
    return (p == p.max(-1, keepdims=True)).astype(float)


def in_top(p, classes, k=2):
    return np.array([c in np.argsort(-row)[:k] for row, c in zip(p, classes, strict=True)])


def top_k_share(of_labels):
    """Of the k entries with the highest predictions, or of the labels that are 1."""

    def metric(t, p):
        says = np.zeros_like(p)
        np.put_along_axis(says, np.argsort(-p, axis=-1)[:, :2], 1, axis=-1)
        return (says * t).sum() / (t if of_labels else says).sum()

    return metric


def concordance(t, p):
    covariance = np.cov(t, p, bias=True)
    return 2 * covariance[0, 1] / (np.trace(covariance) + (t.mean() - p.mean()) ** 2)


# Of what is counted alone; those of tasks and pairs are for one task, one series.
METRICS = {
    **{name: LOSSES[name] for name in (*ELEMENTS, *ROWS, *CLASSES)},
    "AUC": auc,
    "Accuracy": lambda t, p: (t == p).mean(),
    "BinaryAccuracy": lambda t, p: (t == (p > 0.5)).mean(),
    "BinaryIoU": lambda t, p: iou(t, (p >= 0.5).astype(float), (0, 1)),
    "CategoricalAccuracy": lambda t, p: (t.argmax(-1) == p.argmax(-1)).mean(),
    "ConcordanceCorrelation": concordance,
    "CosineSimilarity": lambda t, p: cosine(t, p).mean(),
    "F1Score": lambda t, p: f_score(t, p),
    "FBetaScore": lambda t, p: f_score(t, p, beta=2.0),
    "FalseNegatives": count(2),
    "FalsePositives": count(1),
    "IoU": lambda t, p: iou(t, p, (0, 2)),
    "LogCoshError": LOSSES["LogCosh"],
    "MeanIoU": mean_iou,
    "OneHotIoU": lambda t, p: iou(t.argmax(-1), p.argmax(-1), (0, 2)),
    "OneHotMeanIoU": lambda t, p: mean_iou(t.argmax(-1), p.argmax(-1)),
    "PearsonCorrelation": lambda t, p: np.corrcoef(t, p)[0, 1],
    "Precision": share("tp", "fp"),
    "PrecisionAtRecall": at(("precision", "recall")),
    "R2Score": lambda t, p: 1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum(),
    "Recall": share("tp", "fn"),
    "RecallAtPrecision": at(("recall", "precision")),
    "RootMeanSquaredError": lambda t, p: np.sqrt(((p - t) ** 2).mean()),
    "SensitivityAtSpecificity": at(("recall", "specificity")),
    "SparseCategoricalAccuracy": lambda t, p: (p.argmax(-1) == t).mean(),
    "SparseTopKCategoricalAccuracy": lambda t, p: in_top(p, t).mean(),
    "SpecificityAtSensitivity": at(("specificity", "recall")),
    "TopKCategoricalAccuracy": lambda t, p: in_top(p, t.argmax(-1)).mean(),
    "TrueNegatives": count(3),
    "TruePositives": count(0),
}
TOP_K = {"Precision": top_k_share(of_labels=False), "Recall": top_k_share(of_labels=True)}
