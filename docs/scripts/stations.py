"""Makes docs/notebooks/stations.csv.gz: three rivers that there are not, hour by hour.

Rain, and what two reservoirs, a quick and a slow one, make of it; so the flow can be forecast from
the rain. As in real files, hours have no row, labels are missing for days, and -999 means
"missing".
"""

import gzip
import io
from pathlib import Path

import numpy as np

HOURS = 5000
STATIONS = {"Ems": (0.06, 30.0), "Oder": (0.03, 80.0), "Rur": (0.12, 12.0)}
FILE = Path(__file__).parents[1] / "notebooks" / "stations.csv.gz"


def flow_of(rain: np.ndarray, speed: float, size: float) -> np.ndarray:
    quick = slow = 0.0
    flow = []
    for own in rain:
        quick += 0.7 * own - speed * quick
        slow += 0.3 * own - speed / 12 * slow
        flow.append(size * (0.2 + speed * quick + speed / 12 * slow))
    return np.array(flow)


def text() -> str:
    rng = np.random.default_rng(1)
    start = np.datetime64("2020-03-01T00")
    lines = ["station,time,rain,temperature,flow"]
    for name, (speed, size) in STATIONS.items():
        raining = np.zeros(HOURS)
        for begin in rng.choice(HOURS, 110, replace=False):
            raining[begin : begin + rng.integers(3, 20)] = 1
        rain = raining * rng.gamma(0.8, 1.2, HOURS)
        hours = np.arange(HOURS)
        temperature = 10 - 8 * np.cos(hours / 8766 * 2 * np.pi) + 3 * np.sin(hours / 24 * 2 * np.pi)
        temperature += rng.normal(0, 1, HOURS)
        flow = flow_of(rain, speed, size) * rng.lognormal(0, 0.02, HOURS)
        has_row = np.ones(HOURS, bool)
        for begin in rng.choice(HOURS, 25):
            has_row[begin : begin + rng.integers(1, 12)] = False
        for begin in rng.choice(HOURS, 12):
            flow[begin : begin + rng.integers(24, 240)] = -999
        temperature[rng.random(HOURS) < 0.03] = -999
        for hour in np.flatnonzero(has_row):
            own = f"{rain[hour]:.1f},{temperature[hour]:.1f},{flow[hour]:.1f}"
            time = start + np.timedelta64(int(hour), "h")
            lines.append(f"{name},{time}:00,{own}".replace("-999.0", "-999"))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as file:
        file.write(text().encode())
    FILE.write_bytes(content.getvalue())
