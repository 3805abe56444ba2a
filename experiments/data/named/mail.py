"""What is read of one mail: its subject and its text, whatever its encodings and mistakes.

No other header is read: those of delivery (Received, Return-Path, Delivered-To, Message-Id, Date,
X-Spam-*), of mailing lists (List-*, Sender, X-Mailman-*, Precedence) and those of mail programs say
how and when a corpus was collected, ham from some mailing lists and spam from the traps of one
site, and thereby give the class away. From, To and Cc are personal, and a network would learn
addresses by heart.

For the same reason these are taken out of what is read: bracketed tags at the beginning of a
subject ("[ILUG]"), the notices that list software and Yahoo! Groups append, the advertisements of
SourceForge, the two lines "URL:" and "Date:" of a gateway from news to mail, and all addresses of
mail. Names of lists, products and persons inside of a text stay, as do dates and "wrote" in
quotations: what mails are about gives their class away in part, and that is what is to be learned.
"""

import email.errors
import email.header
import email.message
import email.policy
import html.parser
import re
from typing import NamedTuple


class Text(NamedTuple):
    """What is read of a mail.

    Attributes:
        subject: decoded, without tags of lists.
        body: decoded, without notices of lists and addresses.
        has_html: whether a part of it is HTML.
    """

    subject: str
    body: str
    has_html: bool


class _RawHeaders(email.policy.Compat32):
    """Headers as they stand: the policy of the library would replace 8-bit bytes."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


def parse_mail(content: bytes) -> Text:
    """Read a mail; none is refused.

    The body is that of all plain parts or, where they hold none, of all HTML parts without markup.
    A part with an unknown or wrong charset is read as UTF-8, or else as Latin-1, in which all bytes
    have a meaning; a multipart message that cannot be divided is read as plain text.

    Args:
        content: the mail as it was delivered.

    Returns:
        What is read of it.

    >>> mail = b"Subject: Re: [ILUG] =?utf-8?q?caf=C3=A9?=\\n\\nWrite to me@example.com!\\n"
    >>> parse_mail(mail)
    Text(subject='Re: café', body='Write to  !', has_html=False)
    """
    message = email.message_from_bytes(content, policy=_RawHeaders())
    parts: dict[str, list[str]] = {"plain": [], "html": []}
    for part in message.walk():
        if part.is_multipart():
            continue
        main, kind = part.get_content_maintype(), part.get_content_subtype()
        if main == "multipart":
            parts["plain"].append(_decoded(part))
        elif main == "text" and kind in parts:
            parts[kind].append(_decoded(part))
    plain, markup = "\n".join(parts["plain"]), parts["html"]
    body = plain if plain.strip() else "\n".join(map(html_text, markup))
    body = _ADDRESS.sub(" ", strip_notices(body)).strip()
    return Text(strip_tags(_subject(message)), body, bool(markup))


def _decoded(part: email.message.Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    return _text(content, part.get_content_charset())


def _text(content: bytes, charset: str | None) -> str:
    for name in (charset, "utf-8"):
        try:
            return content.decode(name or "utf-8")
        # No such charset, one that is no encoding of text, or a name with a null character.
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _subject(message: email.message.Message) -> str:
    raw = str(message.get("subject", ""))
    try:
        pieces = email.header.decode_header(raw)
    except email.header.HeaderParseError:  # type: ignore[attr-defined]
        pieces = [(raw, None)]
    text = "".join(
        _text(
            piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece, charset
        )
        for piece, charset in pieces
    )
    return " ".join(text.split())


# What is set on a line of its own.
_BLOCKS = re.compile(
    "address|blockquote|br|center|div|dl|dt|dd|form|h[1-6r]|li|ol|p|pre|table|td|th|title|tr|ul"
)
_HIDDEN = ("script", "style")


class _Text(html.parser.HTMLParser):
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
    """The text of an HTML document, whatever its mistakes; comments, scripts and styles are none.

    >>> html_text("<style>p {}</style><p>FR<!-- hidden -->EE &amp; easy<br>now")
    '\\nFREE & easy\\nnow'
    """
    parser = _Text()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError:  # Of declarations that are none, such as "<![x".
        return re.sub(r"<[^>]*>", " ", markup)
    return "".join(parser.pieces)


# Before the text of an item of news, by the gateway that made a mail of it.
_GATEWAY = re.compile(r"\s*URL: \S+\s*\nDate: .*\n(?:Img: .*\n)?")
_ADDRESS = re.compile(r"(?<![\w.+%=-])[\w.+%=-]+@[\w-]+(?:\.[\w-]+)*")
_TAG = re.compile(r"^((?:(?:re|fwd?|aw|sv)\s*(?:\[\d+\])?:\s*)*)\[[^\]]{1,40}\]\s*", re.IGNORECASE)
# A line that divides a notice from the text, quoted or not.
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
    """Take the bracketed tags of mailing lists out of the beginning of a subject.

    >>> strip_tags("Re: [ILUG] Re: [OT] Kernel [2.4]")
    'Re: Re: Kernel [2.4]'
    """
    while (shorter := _TAG.sub(r"\1", subject)) != subject:
        subject = shorter
    return subject


def strip_notices(text: str) -> str:
    """Take the notices of list software and gateways out of a text, also quoted ones.

    In a paragraph (lines without an empty one between) that names a list below a dividing line,
    the lines from there on are left out; a paragraph with wording of such software is left out
    whole; and so are the lines "URL:" and "Date:" with which a text begins.

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
