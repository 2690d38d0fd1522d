"""Forecasts of the live plant: tags sampled on a grid of steps, worked on in a process of their own, and handed to the faces."""
