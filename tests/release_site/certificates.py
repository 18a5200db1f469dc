# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority to throw away, for sites and clients that speak TLS on loopback."""

import datetime
import ipaddress
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_YEAR = 365  # days


class Authority:
    """Issues certificates. ``pem`` (str) is its own, for clients to trust; ``key_pem`` the key that it signs with."""

    def __init__(self, name="Demo CA"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        # the two that are true: it may sign certificates, and lists of revoked ones
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = _certificate(self._name, self._name, self._key, self._key, (-1, _YEAR))
        builder = builder.add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
        self.pem = _certificate_pem(builder, self._key)
        self.key_pem = _key_pem(self._key)

    def issue(self, names=LOOPBACK, days=(-1, _YEAR), password=None):
        """A certificate for a server or a client, with its key.

        :param names: host names and addresses that it is for; the first is its common name, too.
        :param days: (from, to) of its validity, counted from now: (-10, -1) has expired.
        :param password: str, what the private key is encrypted with; None: it is not.
        :returns: str, PEM: the certificate, then the private key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(_name(names[0]), self._name, key, self._key, days)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
        return _certificate_pem(builder, self._key) + _key_pem(key, password)

    def server_context(self, names=LOOPBACK, days=(-1, _YEAR), clients=None):
        """An ssl.SSLContext for ``Site(tls=...)``.

        :param clients: str, PEM of an authority: then only clients with a certificate of it are let in.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # it is read at once
            file.write(self.issue(names, days))
            file.flush()
            context.load_cert_chain(file.name)
        if clients:
            context.load_verify_locations(cadata=clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _certificate(subject, issuer, key, issuer_key, days):
    now = datetime.datetime.now(datetime.timezone.utc)
    start, end = (now + datetime.timedelta(days=day) for day in days)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), start, end)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return builder.add_extension(identifier, False)


def _certificate_pem(builder, issuer_key):
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key, password=None):
    protection = serialization.NoEncryption()
    if password is not None:
        protection = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection).decode()


def _name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
