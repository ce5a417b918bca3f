"""Uploads one file after the other until the server is gone, and says of each when it begins and
when it was acknowledged. Arguments: the seed, and a prefix for new names."""

import ftplib
import hashlib
import io
import random
import sys

from ftps import login

seed, prefix = sys.argv[1:]
chance = random.Random(seed)


def say(*words):
    print(*words, flush=True)


try:
    ftp = login()
    for number in range(1_000_000):
        size = chance.choice([0, 1_000, 40_000, 300_000, 1_500_000, 6_000_000])
        content = chance.randbytes(size)
        # One in three replaces what is there; nobody else writes that name.
        name = prefix + "-again" if number % 3 == 0 else prefix + "-" + seed + "-" + str(number)
        digest = hashlib.sha256(content).hexdigest()
        say("begun", name, digest)
        reply = ftp.storbinary("STOR " + name, io.BytesIO(content))
        assert reply.startswith("226"), reply
        say("stored", name, digest)
except (OSError, EOFError):
    say("gone")
except ftplib.error_temp as error:
    # A server that ends has not always the time to say how; but it must not refuse for another reason.
    assert str(error)[:3] in ("421", "426"), error
    say("gone")
