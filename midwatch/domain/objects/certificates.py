"""When a certificate ends, read from its DER with the few rules of ASN.1 this takes."""

import base64
import binascii
import re
from datetime import UTC, datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _EXPLICIT_0 = 0x30, 0x17, 0x18, 0xA0


def not_after(pem: bytes) -> datetime | None:
    """The end of the first certificate in a PEM text, or ``None`` where there is none that can be read."""
    matched = _PEM.search(pem)
    if matched is None:
        return None
    try:
        der = base64.b64decode(b"".join(matched[1].split()), validate=True)
        return _not_after(der)
    except (ValueError, IndexError, binascii.Error):
        return None  # not a certificate: the Secret holds something else, which is no concern of ours


def _not_after(der: bytes) -> datetime | None:
    # Certificate ::= SEQUENCE { tbs SEQUENCE { [0] version, serial, algorithm, issuer, SEQUENCE { from, to }, … }, … }
    _, certificate, _ = _element(der)
    _, rest, _ = _element(certificate)
    tag, _, after = _element(rest)
    rest = after if tag == _EXPLICIT_0 else rest
    for _ in range(3):
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        return None
    _, _, rest = _element(validity)
    tag, text, _ = _element(rest)
    return _time(tag, text.decode("ascii"))


def _time(tag: int, text: str) -> datetime | None:
    if tag == _UTC_TIME:  # two digits of year, with 50 as the turn (RFC 5280)
        century = "19" if int(text[:2]) >= 50 else "20"
        return datetime.strptime(century + text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    if tag == _GENERALIZED_TIME:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return None


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows of the first element."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    end = start + length
    if end > len(data):
        raise ValueError("element runs past its end")
    return tag, data[start:end], data[end:]
