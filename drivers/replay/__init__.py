"""Replay source: a recording in CSV or Parquet plays as if a plant sent it."""
