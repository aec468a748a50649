"""What torch's programs use and what needs no framework: random numbers, samplers, schedules."""
