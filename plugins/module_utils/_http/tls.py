# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses the certificates that a TLS connection trusts, and loads the client certificate.

The first of these that is set applies, alone: ``ca_path``; REQUESTS_CA_BUNDLE and then SSL_CERT_FILE of the
environment; the system's store together with the authorities of requests.
"""

import os
import ssl
import stat
from typing import Mapping, NoReturn, Optional, Tuple

from .._errors import RequestError, open_regular, os_error_context
from .._records import ConnectionOptions

_VAULT = b"$ANSIBLE_VAULT;"
_ENVIRONMENT = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def find_bundle(access: ConnectionOptions, environ: Mapping[str, str]) -> Optional[Tuple[str, str]]:
    """Find the certificate authorities that the user chose.

    :param access: ConnectionOptions.
    :param environ: mapping of environment variables.
    :returns: (str, the option or variable; str, path of a PEM file or of a directory prepared by openssl-rehash(1));
        None: the user chose none.
    :raises RequestError: the path cannot be read, or has no certificates.
    """
    for option, path in [("ca_path", access.ca_path)] + [(name, environ.get(name)) for name in _ENVIRONMENT]:
        if path:
            _check_bundle(option, path)
            return option, path
    return None


def load_client_certificate(context: ssl.SSLContext, access: ConnectionOptions) -> None:
    """Load the client certificate into a context.

    :param context: ssl.SSLContext.
    :param access: ConnectionOptions, with ``client_cert``.
    :raises RequestError: the files cannot be read, are not a certificate and its key, or the key needs a pass phrase.
    """
    given = (("client_cert", access.client_cert), ("client_key", access.client_key))
    paths = [(option, path) for option, path in given if path]
    for option, path in paths:
        with os_error_context(
            "%s: read" % option, path, RequestError, hint="name a file in PEM form that can be read there"
        ):
            _refuse_vault(option, path)

    def refuse() -> NoReturn:  # without this, OpenSSL asks on the terminal
        option, path = paths[-1]
        raise RequestError(
            "%s %s is protected by a pass phrase, which nobody can be asked for" % (option, path),
            path=path,
            hint="give a key without one, readable by its owner only",
        )

    try:
        context.load_cert_chain(paths[0][1], access.client_key, refuse)
    except ssl.SSLError as exc:
        raise RequestError(
            "%s: not a certificate and its private key in PEM form (%s)"
            % (" and ".join("%s %s" % pair for pair in paths), exc.reason or "not readable as such"),
            path=access.client_cert,
            hint="client_cert has the certificate, and client_key (or the same file) its key",
        ) from exc


def _refuse_vault(option: str, path: str) -> None:
    """Refuse a file encrypted by ansible-vault: a target does not have the password. Raises OSError, RequestError."""
    with open_regular(path) as stream:
        if stream.read(len(_VAULT)) == _VAULT:
            raise RequestError(
                "%s %s is encrypted by ansible-vault" % (option, path),
                path=path,
                hint=("have ansible.builtin.copy bring it, which decrypts; with download: controller, so does this"),
            )


def _check_bundle(option: str, path: str) -> None:
    with os_error_context(
        "%s: read" % option, path, RequestError, hint="name a file with CA certificates in PEM form, or unset it"
    ):
        if stat.S_ISDIR(os.stat(path).st_mode):
            os.listdir(path)
            return
        _refuse_vault(option, path)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as exc:
        raise RequestError(
            "%s %s has no CA certificate in PEM form" % (option, path),
            path=path,
            hint="name the bundle of the authority that signed the site's or proxy's certificate",
        ) from exc
