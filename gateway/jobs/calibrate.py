"""The job `calibrate`: parameters of one model from the samples of its tags."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.jobs.table import Impossible
from gateway.model.process import ProcessModel
from gateway.simulation.calibration.calibrate import calibrated
from gateway.simulation.calibration.record import Samples, Unfit
from gateway.work import Column, Progress


def calibrate(
    args: Mapping[str, Any], arrays: Mapping[str, Column], _: np.random.Generator, progress: Progress
) -> tuple[dict[str, Any], dict[str, Column]]:
    """args: model, tags, start_s, end_s, parameters, step_s; arrays: time_s/k, value/k, status/k of the k-th tag. It draws nothing."""
    series = {
        tag: Samples.of(
            np.asarray(arrays[f"time_s/{k}"], np.float64),
            np.asarray(arrays[f"value/{k}"], np.float64),
            np.asarray(arrays[f"status/{k}"], np.uint32),
        )
        for k, tag in enumerate(args["tags"])
    }
    try:
        found = calibrated(
            ProcessModel(**args["model"]),
            series,
            args["start_s"],
            args["end_s"],
            wanted=args["parameters"],
            step_s=args["step_s"],
            tick=progress,
        )
    except Unfit as why:
        raise Impossible(str(why)) from None
    return found.document(), {}
