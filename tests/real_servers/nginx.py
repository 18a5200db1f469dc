# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx (1.19.5 or later) as a mirror: a folder by http, by https, to known users, to clients with a certificate.

ETag, Last-Modified, Range and If-Range are as nginx has them, and so are its pages for what it refuses.
"""

import base64
import contextlib
import hashlib
import json
import os
from typing import NamedTuple

from support.system import open_folder, reserved_ports

from .daemons import HOST, MARK, catch_up, find_program, read_text, running, write_text

_CONFIGURATION = """
daemon off;
master_process off;     # one process, which stays the user it was started by
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
    log_format asked escape=json '{{"port": $server_port, "method": "$request_method", "path": "$uri",'
        ' "status": $status, "bytes": $body_bytes_sent, "range": "$http_range", "user": "$remote_user"}}';
    access_log {folder}/access.log asked;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    proxy_temp_path {folder}/proxy;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    default_type application/octet-stream;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.pem;
    root "{root}";
    server {{
        listen {host}:{ports[0]};
        location = {mark} {{ access_log off; return 204; }}
    }}
    server {{ listen {host}:{ports[1]} ssl; }}
    server {{
        listen {host}:{ports[2]};
        auth_basic "mirror";
        auth_basic_user_file {folder}/users;
    }}
    server {{
        listen {host}:{ports[3]} ssl;
        ssl_verify_client on;
        ssl_client_certificate {folder}/clients.pem;
    }}
}}
"""


class Asked(NamedTuple):
    """A request that nginx has answered."""

    port: int
    method: str
    path: str
    status: int
    bytes: int  # of the body that was sent
    range: str  # the header, "" when there was none
    user: str  # "" when none was given


class Nginx(NamedTuple):
    """A running nginx. The URLs are without a trailing slash."""

    http: str
    https: str
    guarded: str  # http, by basic authentication
    locked: str  # https, by a client certificate
    log: str  # path of the access log

    def asked(self, url=None):
        """What was asked and is answered, in its order: a list of Asked; of one of the four URLs where it is given."""
        catch_up(int(self.http.rpartition(":")[2]))
        requests = [Asked(**json.loads(line)) for line in read_text(self.log).splitlines()]
        return [request for request in requests if url is None or url.endswith(":%d" % request.port)]


@contextlib.contextmanager
def nginx(root, certificate, users, clients):
    """A running Nginx. Skips the test where nginx is not installed.

    :param root: str, the folder to serve; who runs the tests must be able to read it.
    :param certificate: str, PEM of the server's certificate and key.
    :param users: dict of name and password.
    :param clients: str, PEM of the authority whose clients are let in.
    """
    program = find_program("nginx", "nginx-light")
    with open_folder() as folder, reserved_ports(4) as ports:
        os.chmod(folder, 0o700)  # the key
        write_text(folder, "server.pem", certificate)
        write_text(folder, "clients.pem", clients)
        write_text(folder, "users", "".join("%s:%s\n" % (user, _salted(word)) for user, word in users.items()))
        configuration = write_text(
            folder, "nginx.conf", _CONFIGURATION.format(folder=folder, root=root, ports=ports, host=HOST, mark=MARK)
        )
        errors = os.path.join(folder, "error.log")
        with running(
            [program, "-e", errors, "-p", folder, "-c", configuration], ports, os.path.join(folder, "printed")
        ):
            places = ["%s://%s:%d" % (scheme, HOST, port) for scheme, port in zip(("http", "https") * 2, ports)]
            yield Nginx(*places, os.path.join(folder, "access.log"))


def _salted(password):
    """``{SSHA}``: SHA-1 over the password and a salt, both in base64 (nginx, ngx_http_auth_basic_module)."""
    salt = os.urandom(8)
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()
