"""Reading and embedding on a Ray cluster: folders, addresses, shards; an index or Parquet files."""
