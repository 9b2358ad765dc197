"""Training, checkpoints and inference of every system; the only floor that imports lightning."""
