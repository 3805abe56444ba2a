"""Subject and text of one email, whatever its encodings and mistakes.

No other header is read: those of delivery (Received, Return-Path, Delivered-To, Message-Id, Date,
X-Spam-*), of mailing lists (List-*, Sender, X-Mailman-*, Precedence) and those of email programs
say how and when a corpus was collected (ham from some mailing lists, spam from the traps of one
site) and thereby reveal the class. From, To and Cc are personal, and a network would memorize
addresses.

For the same reason these are removed from the text: bracketed tags at the beginning of a subject
("[ILUG]"), the notices that list software and Yahoo! Groups append, the advertisements of
SourceForge, the two lines "URL:" and "Date:" of a gateway from news to email, and all email
addresses. Names of lists, products and persons inside of a text stay, as do dates and "wrote" in
quotations: the subject matter of emails reveals their class in part, and that is what is learned.
"""

import codecs
import contextlib
import email.errors
import email.header
import email.message
import email.policy
import html.parser
import re
from typing import NamedTuple


class EmailText(NamedTuple):
    """Subject and text of an email.

    Attributes:
        subject: decoded, without tags of lists.
        body: decoded, without notices of lists and addresses.
        has_html: whether a part of the email is HTML.
    """

    subject: str
    body: str
    has_html: bool


class _RawHeaders(email.policy.Compat32):
    """Headers as they stand: the policy of the library would replace 8-bit bytes."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


def parse_email(content: bytes) -> EmailText:
    """Read an email; none is rejected.

    The body is that of all plain parts or, where they are empty, of all HTML parts without markup.
    A charset that is declared too narrow is replaced by the one that contains it, as web browsers
    do: what calls itself EUC-KR is often UHC. A part with an unknown or wrong charset is read as
    UTF-8, or else as Latin-1, in which all bytes have a meaning; a multipart message that cannot be
    divided is read as plain text.

    Args:
        content: the email as it was delivered.

    Returns:
        Its subject and text.

    >>> content = b"Subject: Re: [ILUG] =?utf-8?q?caf=C3=A9?=\\n\\nWrite to me@example.com!\\n"
    >>> parse_email(content)
    EmailText(subject='Re: café', body='Write to  !', has_html=False)
    """
    message = email.message_from_bytes(content, policy=_RawHeaders())
    parts: dict[str, list[str]] = {"plain": [], "html": []}
    for part in message.walk():
        if part.is_multipart():
            continue
        main, kind = part.get_content_maintype(), part.get_content_subtype()
        if main == "multipart":
            parts["plain"].append(_payload(part))
        elif main == "text" and kind in parts:
            parts[kind].append(_payload(part))
    plain, markup = "\n".join(parts["plain"]), parts["html"]
    body = plain if plain.strip() else "\n".join(map(html_text, markup))
    body = _ADDRESS.sub(" ", strip_notices(body)).strip()
    return EmailText(strip_tags(_subject(message)), body, bool(markup))


def _payload(part: email.message.Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    return _decode(content, part.get_content_charset())


# Charsets of several bytes, and those that contain them (WHATWG, "Encoding Standard").
_WIDER = {
    "euc_kr": "cp949",
    "windows_949": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "tis_620": "cp874",
}
_MAX_DAMAGED = 0.05


def _wider(charset: str | None) -> str | None:
    """The charset that contains a declared one; None where none is known."""
    name = charset or ""
    # Python does not know some names of Windows; a name may hold a null character.
    with contextlib.suppress(LookupError, ValueError):
        name = codecs.lookup(name).name
    return _WIDER.get(name.lower().replace("-", "_"))


def _decode(content: bytes, charset: str | None) -> str:
    wider = _wider(charset)
    # UTF-8 before the wider one: hardly any other text is valid in it by chance.
    for name in (charset or "utf-8", "utf-8", wider or "utf-8"):
        try:
            return content.decode(name)
        # An unknown charset, one that does not encode text, or a name with a null character.
        except (LookupError, ValueError):
            continue
    if wider is not None:
        # A few damaged letters, such as a text that was cut, do not make all others unreadable.
        text = content.decode(wider, "replace")
        if text.count("\ufffd") <= _MAX_DAMAGED * len(text):
            return text
    return content.decode("latin-1")


def _subject(message: email.message.Message) -> str:
    raw = str(message.get("subject", ""))
    try:
        pieces = email.header.decode_header(raw)
    except email.header.HeaderParseError:  # type: ignore[attr-defined]
        pieces = [(raw, None)]
    text = "".join(
        _decode(
            piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece, charset
        )
        for piece, charset in pieces
    )
    return " ".join(text.split())


# Tags that begin a new line.
_BLOCKS = re.compile(
    "address|blockquote|br|center|div|dl|dt|dd|form|h[1-6r]|li|ol|p|pre|table|td|th|title|tr|ul"
)
_HIDDEN = ("script", "style")


class _TextParser(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden = tag
        elif _BLOCKS.fullmatch(tag):
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def html_text(markup: str) -> str:
    """The text of an HTML document, whatever its mistakes, without comments, scripts and styles.

    Args:
        markup: the document.

    Returns:
        Its text, with a line break where a block begins.

    >>> html_text("<style>p {}</style><p>FR<!-- hidden -->EE &amp; easy<br>now")
    '\\nFREE & easy\\nnow'
    """
    parser = _TextParser()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError:  # Of malformed declarations, such as "<![x".
        return re.sub(r"<[^>]*>", " ", markup)
    return "".join(parser.pieces)


# Before the text of an item of news, by the gateway that sent it as an email.
_GATEWAY = re.compile(r"\s*URL: \S+\s*\nDate: .*\n(?:Img: .*\n)?")
_ADDRESS = re.compile(r"(?<![\w.+%=-])[\w.+%=-]+@[\w-]+(?:\.[\w-]+)*")
_TAG = re.compile(r"^((?:(?:re|fwd?|aw|sv)\s*(?:\[\d+\])?:\s*)*)\[[^\]]{1,40}\]\s*", re.IGNORECASE)
# A line that separates a notice from the text, quoted or not.
_DIVIDER = re.compile(r"[\s>|:]*(?:[-_=*~]{10,}.*|--\s*)")
_AFTER_DIVIDER = re.compile(
    r"mailing list|mail list|/mailman/|listinfo|linux users' group|list maintainer|sf\.net email|"
    r"yahoo! groups",
    re.IGNORECASE,
)
_NOTICE = re.compile(
    r"sf\.net email is sponsored|/listinfo/|yahoo! groups sponsor|deathtospam|"
    r"unsubscribe from this group, send|your use of yahoo! groups is subject",
    re.IGNORECASE,
)


def strip_tags(subject: str) -> str:
    """Remove the bracketed tags of mailing lists from the beginning of a subject.

    Args:
        subject: decoded.

    Returns:
        The subject, with "Re:" and "Fwd:" as they were.

    >>> strip_tags("Re: [ILUG] Re: [OT] Kernel [2.4]")
    'Re: Re: Kernel [2.4]'
    """
    while (shorter := _TAG.sub(r"\1", subject)) != subject:
        subject = shorter
    return subject


def strip_notices(text: str) -> str:
    """Remove the notices of list software and gateways from a text, also quoted ones.

    In a paragraph (lines without an empty line between) that names a list below a separating line,
    the lines from there on are removed; a paragraph with wording of such software is removed
    completely, and so are the lines "URL:" and "Date:" with which a text begins.

    Args:
        text: decoded, without markup.

    Returns:
        The other lines.

    >>> strip_notices("Hello\\n\\nBye\\n__________\\nSome mailing list\\nhttp://example.com")
    'Hello\\n\\nBye'
    """
    if gateway := _GATEWAY.match(text):
        text = text[gateway.end() :]
    kept: list[str] = []
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip(" \t>|"):
            paragraph.append(line)
            continue
        kept += [*_without_notice(paragraph), line]
        paragraph = []
    return "\n".join(kept[:-1])


def _without_notice(paragraph: list[str]) -> list[str]:
    for index, line in enumerate(paragraph):
        if _DIVIDER.fullmatch(line) and _AFTER_DIVIDER.search("\n".join(paragraph[index:])):
            return paragraph[:index]
    return [] if _NOTICE.search("\n".join(paragraph)) else paragraph
