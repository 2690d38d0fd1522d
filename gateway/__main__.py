"""Entry point of `edgetwin` and `python -m gateway`."""


def main() -> None:
    """Run the command line."""
    from gateway.cli import app
    from gateway.demo import verb as demo

    demo.register(app)
    app()


if __name__ == "__main__":
    main()
