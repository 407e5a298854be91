"""Files that a reader gets wrong if it does not look: each with how it is to be read."""

import gzip

import numpy as np

HOURS = 1000


def hour(number):
    return str(np.datetime64("2020-01-01T00") + np.timedelta64(int(number), "h"))


VALUES = np.round(np.sin(np.arange(HOURS) / 12) * 10 + 20, 2)


def rows(numbers, values=VALUES, header="time,y", sep=",", decimal="."):
    cells = (f"{hour(k)}{sep}{values[k]:.2f}".replace(".", decimal) for k in numbers)
    return "\n".join([header.replace(",", sep), *cells, ""])


def write_all(folder):
    """The files by their names."""
    random = np.random.default_rng(0)
    with_sentinel = VALUES.copy()
    with_sentinel[300:400] = -999
    two_sentinels = with_sentinel.copy()
    two_sentinels[500:510] = 9999
    stations = "".join(
        f"{station},{hour(k)},{VALUES[k] + 100 * place:.2f}\n"
        for place, station in enumerate("ABC")
        for k in range(HOURS)
    )
    everything = range(HOURS)
    texts = {
        "plain.csv": rows(everything),
        "holes.csv": rows(k for k in everything if not 400 <= k < 600),
        "twice.csv": rows(k for k in everything for _ in range(1 + (k % 5 == 0))),
        "shuffled.csv": rows(random.permutation(HOURS)),
        "irregular.csv": rows(everything).replace(f"{hour(500)}", "2020-01-21T20:17"),
        "stations.csv": f"station,time,y\n{stations}",
        "namibia.csv": f"station,time,y\n{stations}".replace("\nA,", "\nNA,"),
        "sentinel.csv": rows(everything, with_sentinel),
        "two_sentinels.csv": rows(everything, two_sentinels),
        "german.csv": rows(everything, sep=";", decimal=","),
        "thousands.csv": rows(everything, sep=";", decimal=",")
        .replace("\n", "\n")
        .replace(";2", ";1.02"),
        "tab.tsv": rows(everything, sep="\t"),
        "bar.csv": rows(everything, sep="|"),
        "blanks.txt": rows(everything, sep="  "),
        "comment.csv": f"# station 7, UTC\n# by hand\n{rows(everything)}",
        "units.csv": rows(everything, header="time,y\n,m3/s"),
        "dot.csv": "time,y\n"
        + "".join(f"{hour(k)},{'.' if k % 9 == 0 else VALUES[k]}\n" for k in everything),
        "infinite.csv": "a,y\n"
        + "".join(f"{'inf' if k == 5 else 1},{VALUES[k]:.2f}\n" for k in everything),
        "text.csv": rows(everything).replace(f"{hour(7)},{VALUES[7]:.2f}", f"{hour(7)},<0.5"),
        "first_text.csv": rows(everything).replace(f"{hour(0)},{VALUES[0]:.2f}", f"{hour(0)},<0.5"),
        "quoted.csv": rows(everything).replace("time,y", '"time","y"'),
        "parts.csv": "year,month,day,hour,y\n"
        + "".join(
            f"{hour(k)[:4]},{hour(k)[5:7]},{hour(k)[8:10]},{hour(k)[11:13]},{VALUES[k]:.2f}\n"
            for k in everything
        ),
        "dayfirst.csv": "time,y\n" + "".join(f"{k % 28 + 1:02}/01/2020,1\n" for k in range(28)),
        "ambiguous.csv": "time,y\n" + "".join(f"{k:02}/03/2020,1\n" for k in (2, 1, 4, 3)),
        "short.csv": rows(everything).replace(f"{hour(7)},{VALUES[7]:.2f}", hour(7)),
        "long.csv": rows(everything).replace(f"{hour(7)},", f"{hour(7)},,"),
        "no_header.csv": "1,2\n3,4\n5,6\n",
        "same_names.csv": "y,y\n1,2\n",
        "not_a_time.csv": rows(everything).replace(hour(7), "soon"),
        "empty.csv": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "utf16.csv").write_text(texts["plain.csv"], "utf-16")
    (folder / "bom.csv").write_text(texts["plain.csv"], "utf-8-sig")
    (folder / "latin.csv").write_bytes(rows(everything, header="time,größe").encode("latin-1"))
    (folder / "windows.csv").write_bytes(texts["plain.csv"].replace("\n", "\r\n").encode())
    (folder / "packed.csv.gz").write_bytes(gzip.compress(texts["plain.csv"].encode()))
    (folder / "damaged.csv.gz").write_bytes(gzip.compress(texts["plain.csv"].encode())[:-20])
    (folder / "table.xlsx").write_bytes(b"PK\x03\x04")
