"""From a table to what a model is trained on.

* `read_table`: reads a CSV or Parquet file into a pandas DataFrame, and says what it found
* `split`, `Part`: training, validation and test parts, by time, by group, or both
* `windows`, `Windows`: batches of windows that cross neither a series' end nor a part's
* `on_disk`, `OnDisk`: a Parquet file that does not fit into memory, as columns on the disk
"""

from masklstm.data.cutting import windows
from masklstm.data.dataset import Windows
from masklstm.data.reading import read_table
from masklstm.data.splitting import Part, split
from masklstm.data.storing import OnDisk, on_disk

__all__ = ["OnDisk", "Part", "Windows", "on_disk", "read_table", "split", "windows"]
