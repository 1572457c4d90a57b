"""From stored tokens to batches, and from batches to the views that objectives read."""
