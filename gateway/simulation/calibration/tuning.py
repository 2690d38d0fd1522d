"""What a controller would like to know of a model: SIMC settings (Skogestad 2003, Journal of Process Control 13)."""

import math
from collections.abc import Mapping
from typing import Final

KINDS: Final = frozenset({"first_order", "first_order_dead_time", "second_order", "second_order_dead_time"})
_LEAST: Final = 0.1  # of tau: the closed loop of a process without dead time is not asked to be infinitely fast


def simc(kind: str, parameters: Mapping[str, float]) -> dict[str, float] | None:
    """Kc, tau_i and, of a second order, tau_d (series form) with the closed loop's tau_c; None where the rules do not apply.

    Kc = tau1/(K (tau_c + theta)), tau_i = min(tau1, 4 (tau_c + theta)), tau_d = tau2; tau_c = theta, the rules' own choice.
    A second order must be overdamped.
    """
    gain, theta = parameters.get("K", 0.0), parameters.get("theta", 0.0)
    if kind not in KINDS or gain == 0:
        return None
    tau1, tau2 = parameters["tau"], 0.0
    if (zeta := parameters.get("zeta")) is not None:
        if zeta < 1:
            return None
        root = math.sqrt(zeta**2 - 1)
        tau1, tau2 = tau1 * (zeta + root), tau1 * (zeta - root)
    tau_c = max(theta, _LEAST * tau1)
    found = {"Kc": tau1 / (gain * (tau_c + theta)), "tau_i": min(tau1, 4 * (tau_c + theta)), "tau_c": tau_c}
    return found | ({"tau_d": tau2} if tau2 else {})
