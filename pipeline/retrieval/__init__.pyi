from .accuracy import AccuracyCalculator as AccuracyCalculator
from .comparing import compare_features as compare_features
from .comparing import compare_several as compare_several
from .errors import RetrievalError as RetrievalError
from .evaluation import Settings as Settings
from .monitor import RetrievalMetrics as RetrievalMetrics
from .queries import Query as Query
from .scoring import score_features as score_features
