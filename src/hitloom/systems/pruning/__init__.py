"""Graph pruning: which layer clusters do not belong to their trackster."""
