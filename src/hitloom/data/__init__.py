"""Events in and out: TrackML CSV, EggNet ``.pyg`` files, the Parquet event store; features, splits, cuts, loaders."""
