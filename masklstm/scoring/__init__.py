"""How good predictions are, group by group: a table, and a picture of the groups' scores."""

from masklstm.scoring.flow_duration import FlowDurationBias
from masklstm.scoring.scores import scores
from masklstm.scoring.table import Scores

__all__ = ["FlowDurationBias", "Scores", "scores"]
