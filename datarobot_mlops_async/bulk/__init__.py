"""Bulk work: one call for each of many items, a bounded number at a time.

One item's failure never takes down the others. What became of each is an `Outcome`. A journal keeps the outcomes
on disk, and names beforehand what is about to be done; a run that was interrupted, or killed, goes on from it:

- What succeeded is not done again. What failed is, if it is still asked for.
- An operation that was begun is asked, at its location, and not begun again, whether or not the input
  still names its item.
- Where the server may have done something without saying so, nobody knows: such an item is reported as
  ``unknown`` and not repeated, unless the caller says that repeating is harmless.
- A journal belongs to one action at one endpoint, and to one run at a time.
"""

from datarobot_mlops_async.bulk._journal import Journal, read_journal
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState
from datarobot_mlops_async.bulk._planning import PlannedRequest, planned_requests
from datarobot_mlops_async.bulk._run import BulkOptions, Run
from datarobot_mlops_async.bulk._stream import BulkStream

__all__ = [
    "BulkOptions",
    "BulkStream",
    "Journal",
    "Outcome",
    "OutcomeState",
    "PlannedRequest",
    "Run",
    "planned_requests",
    "read_journal",
]
