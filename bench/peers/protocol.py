"""A benchmark's workers: one process a runtime, which runs when it is told to and says how long it took.

The parent tells them in turn, so that all of them see the same machine; a worker that waits costs nothing.
"""

import json
import os
import subprocess
import sys
import time


def serve(prepare, ask=sys.stdin, answer=None):
    """The worker's side: prepare(size) -> run() for every size asked for; answers with seconds a run."""
    # Libraries write to stdout as well; the answers need it for themselves.
    answer = answer or os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runs = {}
    for line in ask:
        order = json.loads(line)
        try:
            size, count = order["size"], order["count"]
            if size not in runs:
                runs[size] = prepare(size)
                for _ in range(2):
                    runs[size]()
            result = []
            for _ in range(count):
                clock, processor = time.perf_counter(), time.process_time()
                value = runs[size]()
                result.append([time.perf_counter() - clock, time.process_time() - processor])
            answer.write(json.dumps({"seconds": result, "value": value}) + "\n")
        except Exception as error:
            answer.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}) + "\n")
        answer.flush()


class Worker:
    """The parent's side. `run` gives back [[wall seconds, processor seconds]] and the last run's value."""

    def __init__(self, name: str, command: list[str]):
        self.name = name
        log = open(os.devnull, "w")  # noqa: SIM115 the process keeps it
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def run(self, size: int, count: int):
        self.process.stdin.write(json.dumps({"size": size, "count": count}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the worker ended with {self.process.wait()}")
        result = json.loads(line)
        if "error" in result:
            raise RuntimeError(f"{self.name}: {result['error']}")
        return result["seconds"], result["value"]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
