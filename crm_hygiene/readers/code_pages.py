"""Code pages: in which one text was written that is not UTF-8 and says nothing of it.

Languages of Latin letters keep most of their letters below 128: of the words that have others, a quarter of
the bytes at the most are above in Polish, a third in Vietnamese. Where nearly all are, the letters are no
Latin ones, and which they are the bytes themselves tell well (charset-normalizer). Which of the Latin pages
it was they do not: names hold few letters in which the pages differ. That stays cp1252, as it is most
often.
"""

from __future__ import annotations

import re

LATIN = "cp1252"

# Of the bytes of words that have any above 127.
_OTHER_SHARE = 0.6
# Of all bytes: text that was cut within a letter keeps nearly all as UTF-8, of a code page hardly a pair is.
_UTF8_SHARE = 0.9
# Fewer words than these tell nothing.
_LEAST_WORDS = 10

_WORDS = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")

# One for each alphabet and the systems that wrote it; of those that differ in a sign only the commonest.
_PAGES = (
    "cp1251", "koi8_r", "cp866", "mac_cyrillic", "cp1253", "cp1255", "cp1256", "cp874",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip


def code_page(sample: bytes) -> str:
    """The code page of lines that are not UTF-8, as Python names it; `LATIN` where nothing else is plain."""
    words = _WORDS.findall(sample)
    above = sum(byte > 127 for word in words for byte in word)
    if len(words) < _LEAST_WORDS or above < _OTHER_SHARE * sum(map(len, words)):
        return LATIN
    letters = b" ".join(words)
    if len(letters.decode("utf-8", "ignore").encode()) >= _UTF8_SHARE * len(letters):
        return LATIN  # damaged UTF-8
    # Few nights read such files.
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(_PAGES)).best()
    return LATIN if best is None else best.encoding
