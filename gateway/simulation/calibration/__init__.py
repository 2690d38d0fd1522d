"""Parameters of process models from measured data: how sure they are, and whether they are better than the ones before.

record      measured series on one grid     output_error  parameters by simulation     linear  ARX, Ornstein-Uhlenbeck, noises
statistics  whiteness, covariance, fit      calibrate     the whole of it              tuning  what a controller would like to know
"""
