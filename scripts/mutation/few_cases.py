"""A plugin of pytest: of each test function a few cases, spread over all of them."""

from collections import defaultdict

import pytest

CASES = 10


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        cases[item.nodeid.split("[")[0]].append(item)
    kept = {
        of_one[i * len(of_one) // CASES] if len(of_one) > CASES else of_one[i]
        for of_one in cases.values()
        for i in range(min(CASES, len(of_one)))
    }
    left_out = [item for item in items if item not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item in kept]
