"""Python's ftplib against the server under test, as it is and with the subclass that resumes."""

import contextlib
import ftplib
import os
import socket
import ssl


class Resuming(ftplib.FTP_TLS):
    """Resumes the TLS session of the control connection on every data connection."""

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session), size


def context(version=None):
    """A context that trusts the server's authority, held to one version of TLS."""
    made = ssl.create_default_context(cafile=os.environ["FTPS_AUTHORITY"])
    if "FTPS_CERTIFICATE" in os.environ:
        made.load_cert_chain(os.environ["FTPS_CERTIFICATE"] + ".pem", os.environ["FTPS_CERTIFICATE"] + ".key")
    if version:
        made.minimum_version = made.maximum_version = {
            "1.2": ssl.TLSVersion.TLSv1_2,
            "1.3": ssl.TLSVersion.TLSv1_3,
        }[version]
    return made


def login(kind=Resuming, version=None, passive="PASV", encoding="utf-8", host=None, source=None):
    """A session that is logged in and protects its data connections."""
    ftp = kind(context=context(version), timeout=20, encoding=encoding)
    ftp.connect(host or os.environ["FTPS_HOST"], int(os.environ["FTPS_PORT"]), source_address=source and (source, 0))
    ftp.login(os.environ["FTPS_USER"], os.environ["FTPS_PASSWORD"])
    if version:
        assert ftp.sock.version() == "TLSv" + version, ftp.sock.version()
    if passive == "EPSV":
        # ftplib asks for ports in the way of IPv6 where it thinks to use that.
        ftp.af = socket.AF_INET6
    ftp.prot_p()
    return ftp


@contextlib.contextmanager
def refused(code):
    """What is done here has to be refused with this code; gives the exception for its words."""
    heard = []
    try:
        yield heard
    except ftplib.Error as error:
        heard.append(str(error))
        assert str(error).startswith(code), error
    else:
        raise AssertionError("not refused with " + code)
