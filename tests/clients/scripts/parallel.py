"""Sessions at the same time, each of which uploads files and gets them back.

Arguments: the host, how many, how many files each, and the source addresses to take in turn.
"""

import concurrent.futures
import io
import random
import sys
import threading

from ftps import login

host, count, files, *sources = sys.argv[1:]
together = threading.Barrier(int(count))


def session(number):
    ftp = login(host=host, source=sources[number % len(sources)] if sources else None)
    # The address in the answer to PASV is used as it is announced.
    ftp.trust_server_pasv_ipv4_address = True
    together.wait(30)
    for turn in range(int(files)):
        content = random.Random(number * 100 + turn).randbytes(20_000)
        name = f"file-{number}-{turn}"
        ftp.storbinary("STOR " + name, io.BytesIO(content))
        got = io.BytesIO()
        ftp.retrbinary("RETR " + name, got.write)
        assert got.getvalue() == content, name
    ftp.quit()


with concurrent.futures.ThreadPoolExecutor(int(count)) as pool:
    outcomes = [pool.submit(session, number) for number in range(int(count))]
    failed = [repr(outcome.exception()) for outcome in outcomes if outcome.exception()]
assert not failed, f"{len(failed)} of {count} failed: {failed[:5]}"
