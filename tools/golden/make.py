"""Writes every fixture again: `python tools/golden/make.py`."""

import losses
import models
import ops
import schedules

if __name__ == "__main__":
    for writer in (models, losses, ops, schedules):
        writer.main()
