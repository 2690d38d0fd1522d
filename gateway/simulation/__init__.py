"""Floor 1, pure: process models, ensembles, first passage, sensitivity, forecasts, calibration and residuals, on arrays.

Time is a step in seconds, chance is a numpy Generator; both are handed in. Nothing here waits, logs or knows where a number comes from.
"""
