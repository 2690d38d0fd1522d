"""Lines of all kinds, for properties that every line has (hypothesis)."""

from hypothesis import strategies as st

from gateway.model.line import (
    REJECT,
    SINK,
    SOURCE,
    Calendar,
    Changeover,
    Crew,
    Distribution,
    Edge,
    Line,
    Lot,
    Machine,
    Maintenance,
    Performance,
    PlannedStop,
    Product,
    Quality,
    Rates,
    Reliability,
    Routing,
    Source,
    between,
    constant,
    exponential,
)

PRODUCTS = (Product("first", material_cost=0.35, selling_price=1.1), Product("second", material_cost=0.7, selling_price=1.9))
TIMES = st.one_of(
    st.floats(0.5, 3.0).map(constant),
    st.floats(0.5, 3.0).map(exponential),
    st.floats(0.5, 2.0).map(lambda low: between(low, 2 * low)),
    st.floats(0.5, 3.0).map(lambda scale: Distribution("weibull", 1.7, scale)),
    st.just(Distribution("empirical", values=(0.5, 1.0, 4.0), weights=(5.0, 3.0, 1.0))),
)


@st.composite
def machines(draw, name, plain=False):
    reliability = draw(
        st.none()
        | st.builds(Reliability, st.floats(20, 200).map(exponential), TIMES, st.sampled_from(["operation", "time"]), st.booleans())
    )
    return Machine(
        name,
        draw(TIMES),
        batch_in=1 if plain else draw(st.integers(1, 3)),
        batch_out=1 if plain else draw(st.integers(1, 3)),
        output=draw(st.sampled_from(["tube", "case", "pallet"])),
        servers=draw(st.integers(1, 2)),
        reliability=reliability,
        performance=Performance(draw(st.sampled_from([0.0, 0.1])), constant(2.0), draw(st.sampled_from([1.0, 0.8]))),
        quality=Quality(draw(st.sampled_from([0.0, 0.1])), draw(st.sampled_from([0.0, 0.7, 1.0]))),
        changeover=draw(st.none() | st.just(Changeover(constant(3.0), pairs=(("first", "second", constant(1.0)),)))),
        maintenance=draw(st.none() | st.builds(Maintenance, st.sampled_from(["age", "interval"]), st.just(60.0), st.just(constant(5.0)))),
        crew=draw(st.sampled_from(["", "fitters"])),
        routing=draw(st.sampled_from(list(Routing))),
        rates=Rates(draw(st.floats(0, 50)), 3.3, 0.1),
    )


@st.composite
def lines(draw):
    """A row of machines, with a way around the second, a way back from the last, or both."""
    count = draw(st.integers(1, 4))
    names = [f"m{place}" for place in range(count)]
    rooms = st.none() | st.integers(0, 4)
    edges = [Edge(a, b, draw(rooms), weight=draw(st.floats(0.1, 3))) for a, b in zip([SOURCE, *names], [*names, SINK], strict=True)]
    if count > 2 and draw(st.booleans()):
        edges.append(Edge("m0", "m2", draw(rooms)))
    if count > 1 and draw(st.booleans()):
        edges.append(Edge(names[-1], "m0", draw(st.integers(1, 5)), "is_defective and reworks < 2", rework=True))
    if draw(st.booleans()):
        edges.append(Edge(names[-1], REJECT, None, "is_defective"))
    arrivals = draw(st.none() | TIMES)
    source = Source(
        arrivals=arrivals,
        quantity=draw(st.none() | st.integers(0, 60)),
        lots=draw(st.sampled_from([(), (Lot("first", 7), Lot("second", 5))])),
        when_full=draw(st.sampled_from(["wait", "lose"])),
    )
    stops = draw(st.sampled_from([(), (PlannedStop(20.0, 31.0), PlannedStop(50.0, 52.5, "maintenance", ("m0",)))]))
    return Line(
        "random",
        tuple(draw(machines(name, plain=len(edges) > count + 1)) for name in names),
        tuple(edges),
        PRODUCTS[0],
        source,
        duration_s=draw(st.floats(50.0, 260.0)),
        warm_up_s=draw(st.sampled_from([0.0, 33.0])),
        telemetry_interval_s=draw(st.sampled_from([7.0, 25.0, 1000.0])),
        seed=draw(st.integers(0, 10_000)),
        rates=Rates(17.7),
        calendar=Calendar(stops, draw(st.sampled_from([0.0, 80.0]))),
        crews=(Crew("fitters"),),
        products=PRODUCTS[1:],
    )
