"""How the Python clients of the matrix report: one JSON object a line, for each action one."""

import contextlib
import json
import os

NAMES = sorted(os.listdir("names"))
MANY = sorted(os.listdir("many"))
PART = os.path.getsize("part-down")


def say(**report):
    print(json.dumps(report), flush=True)


@contextlib.contextmanager
def step(action):
    """One action; a listing puts its names into the list that this gives."""
    names = []
    try:
        yield names
    except Exception as error:
        say(action=action, failed=str(error) or repr(error))
    else:
        say(action=action, names=names)


def lacks(action):
    say(action=action, lacks=True)
