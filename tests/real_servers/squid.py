# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""squid (5 or later) as a proxy: for all, for known users, spoken to by TLS, or one that opens TLS to look inside.

It resolves ``PLACE`` and nothing else, to 127.0.0.1: a site of that name is reached through it alone.
"""

import contextlib
import glob
import grp
import hashlib
import os
import pwd
import subprocess
from typing import NamedTuple

from support.system import NOBODY, ROOT, finished, open_folder, reserved_ports

from .daemons import HOST, MARK, catch_up, find_program, read_text, running, write_text

PLACE = "mirror.test"  # RFC 6761, 6.2: no name below .test is anybody's
_LIBRARY = ("/usr/lib/squid", "/usr/lib64/squid", "/usr/libexec/squid")
_CONFIGURATION = """
http_port {host}:{port} {bump}
pid_filename none
cache deny all
cache_mem 4 MB
coredump_dir {folder}
cache_log {folder}/cache.log
logformat asked %rm %>Hs %<st %un %ru
access_log stdio:{folder}/access.log logformat=asked
strip_query_terms off
hosts_file {folder}/hosts
dns_nameservers {host}
dns_timeout 10 milliseconds
dns_retransmit_interval 10 milliseconds
visible_hostname squid.test
pinger_enable off
max_filedescriptors 512
"""
_AS_PLAIN_USER = """
cache_effective_user {user}
cache_effective_group {group}
"""
_AUTHENTICATION = """
auth_param basic program {library}/basic_ncsa_auth {folder}/users
auth_param basic children 1
auth_param basic realm proxy
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
"""
# Stare first: the certificate that is made then has the names of the real one (ssl_bump in squid.conf.documented).
_INSPECTION = """
sslcrtd_program {library}/security_file_certgen -s {folder}/made -M 4MB
sslcrtd_children 1 startup=1
tls_outgoing_options cafile={folder}/origins.pem
ssl_bump stare all
ssl_bump bump all
"""


class Asked(NamedTuple):
    """A request that squid is through with."""

    method: str
    status: int
    bytes: int  # sent to the client, head and body
    user: str  # "-" when none was given
    url: str  # with the query; host:port for CONNECT


class Squid(NamedTuple):
    """A running squid."""

    url: str
    by_tls: str  # the URL by which it is spoken to by TLS, "" without a certificate
    log: str  # path of the access log

    def known(self, user, password):
        """The URL with a user and password in it."""
        return self.url.replace("//", "//%s:%s@" % (user, password))

    def asked(self):
        """What was asked and is through, in its order: a list of Asked."""
        catch_up(int(self.url.rpartition(":")[2]))
        lines = [line.split(None, 4) for line in read_text(self.log).splitlines() if MARK not in line]
        return [Asked(method, int(status), int(size), user, url) for method, status, size, user, url in lines]


@contextlib.contextmanager
def squid(users=None, certificate=None, inspector=None, origins=""):
    """A running Squid. Skips the test where squid is not installed.

    :param users: dict of name and password; None: it asks nobody.
    :param certificate: str, PEM of a certificate and key, with which it can be spoken to by TLS, too.
    :param inspector: Authority, by which it makes a certificate for each site: it then opens TLS. None: it does not.
    :param origins: str, PEM of the authority that it trusts itself when it does.
    """
    program = find_program("squid", "squid-openssl")
    library = next((folder for folder in _LIBRARY if os.path.isdir(folder)), _LIBRARY[0])
    with open_folder() as folder, reserved_ports(1 if certificate is None else 2) as ports:
        write_text(folder, "hosts", "%s %s\n" % (HOST, PLACE))
        text, bump = _CONFIGURATION, ""
        if ROOT:
            text += _AS_PLAIN_USER
        if users is not None:
            text += _AUTHENTICATION
            write_text(folder, "users", "".join("%s:%s\n" % (user, _hashed(word)) for user, word in users.items()))
        else:
            text += "http_access allow all\n"
        if certificate is not None:
            text += "https_port %s:%d tls-cert=%s\n" % (
                HOST,
                ports[1],
                write_text(folder, "certificate.pem", certificate),
            )
        if inspector is not None:
            text += _INSPECTION
            bump = "ssl-bump generate-host-certificates=on tls-cert=%s" % write_text(
                folder, "authority.pem", inspector.pem + inspector.key_pem
            )
            write_text(folder, "origins.pem", origins)
            finished(
                [os.path.join(library, "security_file_certgen"), "-c", "-s", os.path.join(folder, "made"), "-M", "4MB"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        configuration = write_text(
            folder,
            "squid.conf",
            text.format(
                folder=folder,
                port=ports[0],
                host=HOST,
                bump=bump,
                library=library,
                user=pwd.getpwuid(NOBODY).pw_name,
                group=grp.getgrgid(pwd.getpwuid(NOBODY).pw_gid).gr_name,
            ),
        )
        _hand_over(folder)
        # The service's name keeps apart what several of them share in memory.
        command = [program, "-N", "-n", "tests%d" % ports[0], "-f", configuration]
        with _shared_memory("tests%d-" % ports[0]), running(command, ports, os.path.join(folder, "printed")):
            by_tls = "https://%s:%d" % (HOST, ports[1]) if certificate is not None else ""
            yield Squid("http://%s:%d" % (HOST, ports[0]), by_tls, os.path.join(folder, "access.log"))


@contextlib.contextmanager
def _shared_memory(prefix):
    """What it has there is taken away: it would do so itself, but takes seconds to end when it is asked to."""
    try:
        yield
    finally:
        for path in glob.glob("/dev/shm/%s*" % prefix):
            os.unlink(path)


def _hand_over(folder):
    """squid never works as root: it opens its files as the user that it becomes."""
    if ROOT:
        for parent, folders, names in os.walk(folder):
            for name in ["."] + folders + names:
                os.chown(os.path.join(parent, name), NOBODY, -1)


def _hashed(password):
    """MD5 as hex digits, which basic_ncsa_auth takes besides those of crypt(3)."""
    return hashlib.md5(password.encode()).hexdigest()
