"""A plugin of pytest: of each test function a few cases, spread over all of them."""

import re
from collections import defaultdict
from collections.abc import Sequence

import pytest

CASES, MOST_CASES = 10, 32


def few_of(names: Sequence[str]) -> list[str]:
    """Ten, and as many more, up to 32, as it takes to meet each word of the names: each loss, each
    type. Those with the most words that are new come first.
    """
    if len(names) <= CASES:
        return list(names)
    kept = [names[i * len(names) // CASES] for i in range(CASES)]
    words = {name: set(re.split(r"[-\[\]]", name)) for name in names}
    new = set().union(*words.values()).difference(*(words[name] for name in kept))
    while new and len(kept) < MOST_CASES:
        kept.append(max(names, key=lambda name: len(words[name] & new)))
        new -= words[kept[-1]]
    return kept


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases: dict[str, list[str]] = defaultdict(list)
    for item in items:
        cases[item.nodeid.split("[")[0]].append(item.nodeid)
    kept = {name for of_one in cases.values() for name in few_of(of_one)}
    left_out = [item for item in items if item.nodeid not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item.nodeid in kept]
