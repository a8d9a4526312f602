"""`python -m inference.wff.phantom_verification`. Processes that are started import this file: it must load nothing."""

if __name__ == "__main__":
    from inference.wff.phantom_verification.command import app

    app()
