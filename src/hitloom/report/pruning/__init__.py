"""Evaluation of pruning: counts, tables, plots and displays of tracksters whose layer clusters were kept or pruned."""
