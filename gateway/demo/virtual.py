"""The virtual plant as an object without a clock: the line's simulator with the process physics on top, as fast as it is stepped."""

import numpy as np

from gateway.demo import physics
from gateway.demo.machines import Machines
from gateway.demo.physics import Inputs, N, Parameters, State


class VirtualPlant:
    """state: as it stands. Equal seeds and equal steps give equal states; parameters may be changed between steps."""

    def __init__(self, seed: int) -> None:
        self.parameters = Parameters()
        self.machines = Machines(seed)
        self.state: State = physics.start(self.machines.moment(), self.parameters)
        self._rng = np.random.default_rng(seed)
        self._calm = physics.defects(22.5)

    def step(self, inputs: Inputs, dt_s: float) -> State:
        """The state dt_s > 0 seconds later. Raises ValueError for a step that is not positive."""
        if not dt_s > 0:
            raise ValueError("a step is longer than nothing")
        now, p = self.state, self.parameters
        short = np.zeros(N, bool)
        short[list(p.draw_at)] = now.inventory < p.draw
        self.machines.act(inputs.speed_setpoint, inputs.faulty, short)
        self.machines.share = physics.defects(now.temperature) - self._calm
        moment = self.machines.advance(now.time_s + dt_s)
        self.state = physics.step(now, moment, inputs, dt_s, self._rng, p)
        return self.state
