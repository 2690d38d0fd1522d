"""Forecasts with honest bands: rolling, per tag, many tags at once, scored when their time has come.

rolling.Rolling is the whole of it; the other modules are its parts.
"""
