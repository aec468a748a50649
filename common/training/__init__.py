"""Training: the loop, schedules, early stopping, the run log and the run directory. Everything here is the same for
both backends."""
