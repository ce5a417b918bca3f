"""One session by a clock that somebody sets forward: transfers now and at each of these ages, in
hours; then one at which the client has to think that its ticket is over. Run under faketime, which
reads the clock's error from a file. Arguments: version of TLS, age at the end or none, ages."""

import io
import os
import sys
import time

from ftps import login, refused

version, over, *ages = sys.argv[1:]


def become(hours):
    began = time.time()
    with open(os.environ["FAKETIME_TIMESTAMP_FILE"], "w") as file:
        file.write(f"+{hours}h\n")
    assert time.time() - began > 1800, "the clock was not set"


ftp = login(version=version)
for number, hours in enumerate([None, *ages]):
    if hours:
        become(hours)
    content = f"content {number}".encode()
    assert ftp.storbinary("STOR file", io.BytesIO(content)).startswith("226"), hours
    got = io.BytesIO()
    ftp.retrbinary("RETR file", got.write)
    assert got.getvalue() == content, hours
if over != "none":
    become(over)
    with refused("522"):
        ftp.nlst()
ftp.quit()
