"""``python -m edgetam``."""

from edgetam.cli.main import main

if __name__ == "__main__":
    main()
