"""Entry point of `edgetwin` and `python -m gateway`."""


def main() -> None:
    """Run the command line."""
    from gateway.bench import verb as bench
    from gateway.cli import app
    from gateway.demo import verb as demo

    demo.register(app)
    bench.register(app)
    app()


if __name__ == "__main__":
    main()
