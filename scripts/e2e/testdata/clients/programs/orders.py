"""Runs the operations that clients_test.go orders, one line of JSON for each."""

import contextlib
import io
import json
import os
import sys
import traceback


def serve(verbs, refusals):
    """Answers each order with what its verb printed. A verb fails by one of the
    refusals, by False, or by a fault, of which the whole trace is printed."""
    for line in sys.stdin:
        order = json.loads(line)
        os.environ["CLIENT_TOKEN_FILE"] = order["token_file"]
        verb, *args = order["args"]
        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                failed = verbs[verb](*args) is False
            except refusals as problem:
                failed = True
                print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
            except Exception:
                failed = True
                traceback.print_exc()
        json.dump({"failed": failed, "stdout": stdout.getvalue(), "stderr": stderr.getvalue()}, sys.stdout)
        print(flush=True)
