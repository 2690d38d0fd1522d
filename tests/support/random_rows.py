"""Machines in a row as the recursion can express them, of all kinds (hypothesis)."""

from dataclasses import replace

from hypothesis import strategies as st

from gateway.model.distribution import Distribution
from gateway.model.line import (
    REJECT,
    SIX_PHASES,
    SOURCE,
    Clock,
    Edge,
    Line,
    Machine,
    Performance,
    Product,
    Quality,
    Rates,
    Reliability,
    Source,
    between,
    constant,
    exponential,
    serial,
)

WEIBULL = Distribution.of("weibull", shape=1.7, scale=3.1)
TIMES = st.sampled_from(
    [
        constant(1.0),
        constant(2.5),
        constant(0.7),
        exponential(1.3),
        between(0.5, 2.0),
        WEIBULL,
        Distribution.of("gamma", shape=0.6, scale=2.0),
    ]
)
LIVES = st.sampled_from([exponential(20.0), between(5.0, 40.0), Distribution.of("geometric", probability=0.1, step=1.0), exponential(0.8)])
REPAIRS = st.sampled_from([constant(7.0), exponential(5.0), Distribution.of("lognormal", median=3.0, sigma=0.8)])


@st.composite
def machines(draw, name):
    failing = draw(st.booleans())
    reliability = Reliability(draw(LIVES), draw(REPAIRS), Clock.OPERATION, draw(st.booleans())) if failing else None
    performance = Performance(draw(st.sampled_from([0.0, 0.1, 1.0])), draw(TIMES), draw(st.sampled_from([1.0, 0.8])))
    quality = Quality(draw(st.sampled_from([0.0, 0.15, 1.0])), draw(st.sampled_from([0.0, 0.5, 1.0])))
    output = draw(st.sampled_from(["tube", "case", "pallet"]))
    optional = {"inspect"} if draw(st.integers(0, 4)) == 0 else set[str]()
    phases = tuple(use for use in SIX_PHASES if use.name not in optional)
    batch = draw(st.sampled_from([1, 1, 2, 3, 12]))
    rates = Rates(energy_per_hour=3.0)
    return Machine(name, draw(TIMES), batch, 1, output, 1, False, reliability, performance, quality, phases=phases, rates=rates)


@st.composite
def lines(draw):
    names = [f"m{place}" for place in range(draw(st.integers(1, 4)))]
    rooms = [draw(st.sampled_from([None, 0, 1, 2, 5, 40])) for _ in names]
    made = tuple(draw(machines(name)) for name in names)
    edges = list(serial(names, rooms[1:]))
    edges[0] = replace(edges[0], capacity=rooms[0])
    if draw(st.booleans()):
        edges = [replace(edge, condition="not is_defective" if edge.origin != SOURCE else "") for edge in edges]
        edges += [Edge(name, REJECT, condition="is_defective") for name in names]
    when_full = draw(st.sampled_from(["wait", "lose"]))
    apart = (
        TIMES if when_full == "wait" else st.just(exponential(1.1))
    )  # who is lost must not hang on which of two events at once comes first
    source = Source("raw", draw(st.one_of(st.none(), apart)), draw(st.sampled_from([None, None, 0, 7, 150])), (), when_full)
    product = Product("sku", material_cost=0.3, selling_price=1.1)
    warm_up = draw(st.sampled_from([0.0, 0.0, 60.5]))
    return Line("random", made, tuple(edges), product, source, 300.25, warm_up, rates=Rates(labor_per_hour=10.0))
