"""How a run can end before its time, each with the exit status train.py gives it (numbers of BSD's sysexits.h)."""

STOPPED = 75  # EX_TEMPFAIL: SIGTERM or Ctrl-C; a checkpoint is written, the same command goes on from it


class RunFailure(Exception):
    """One line for the user, and the exit status that goes with it."""

    status = 1


class StoppedWaiting(RunFailure):
    """SIGTERM or Ctrl-C before all workers were there; nothing was trained."""

    status = STOPPED


class BrokenData(RunFailure):
    """A record that cannot be read (EX_DATAERR)."""

    status = 65


class WorkerLost(RunFailure):
    """Another worker of a multi-worker run has gone (EX_UNAVAILABLE)."""

    status = 69


class Diverged(RunFailure):
    """NaN, losses out of sane bounds, a dead discriminator or generator (EX_SOFTWARE)."""

    status = 70


class CannotSave(RunFailure):
    """The last state of the run could not be written, a full disk for instance (EX_IOERR)."""

    status = 74
