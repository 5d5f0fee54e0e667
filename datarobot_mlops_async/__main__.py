"""``python -m datarobot_mlops_async`` is ``dr-mlops``."""

from datarobot_mlops_async.cli import main

if __name__ == "__main__":
    main()
