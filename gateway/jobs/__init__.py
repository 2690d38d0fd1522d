"""Worker processes for what takes longer than the loop may wait: simulation, sensitivity, calibration."""
