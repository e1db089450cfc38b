"""Exports without a word on their code page: which letters they are of is told by the bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.mapping import Mapping
from crm_hygiene.readers import encodings
from crm_hygiene.readers.code_pages import code_page

from .test_csv import HEADER, read

RUSSIAN = "Сергей Щукин, Екатерина Хрущёва, Анна Иванова, Пётр Соколов, Юлия Морозова, Дмитрий Жуков"
BULGARIAN = "Георги Търновски, Цветелина Щерева, Йордан Хаджиев, Петя Иванова, Димитър Стоянов, Юлия Кръстева"
GREEK = "Γεώργιος Παπαδόπουλος, Ευάγγελος Οικονόμου, Χρυσούλα Αυγερινού, Ξένια Ψαρρά, Ιωάννα Βλάχου"
HEBREW = "יוסף כהן, שרה לוי, משה מזרחי, רחל פרץ, דוד ביטון, אסתר דהן, אברהם אזולאי, לאה מלכה, יצחק גבאי"
ARABIC = "محمد الأحمد, فاطمة الزهراء, أحمد السيد, خديجة العلي, عمر الخطيب, عائشة حداد, يوسف النجار, مريم خوري"
THAI = "สมชาย ใจดี, สมหญิง รักไทย, ประเสริฐ ศรีสุข, วิภา แสงทอง, อนุชา พงษ์ไพร, สุดา จันทร์เพ็ญ, ชัยวัฒน์ บุญมา"
JAPANESE = "山田 太郎, 高橋 花子, 井上 直樹, 渡辺 美樹, 佐藤 健一, 鈴木 さくら, 田中 稔, 伊藤 浩, 中村 バラク"
CHINESE = (
    "王伟 上海市浦东新区, 李娜 北京市朝阳区, 张敏 广州市天河区, 刘洋 深圳市南山区, 陈静 成都市武侯区, "
    "赵芳 南京市鼓楼区, 黄强 武汉市江岸区, 周杰 西安市雁塔区, 吴秀英 天津市和平区, 徐丽 重庆市渝中区"
)
TAIWANESE = "陳怡君, 林志明, 黃淑芬, 張俊傑, 李美玲, 王建宏, 吳雅婷, 劉家豪, 蔡佩珊, 楊宗翰, 許心怡"
KOREAN = "김민준, 이서연, 박지훈, 최수빈, 정하은, 강도윤, 조예진, 윤시우, 장지우, 임채원, 한유나"

LATIN = {
    "cp1252": "Jörg Groß, Renée Lefèvre, João Gonçalves, Åsa Öberg, Günther Müßig, Søren Kjær, Peña Núñez",
    "cp1250": "Łukasz Wójcik, Żaneta Kozłowska, Čeněk Dvořák, Zdeněk Růžička, Šťastná Ďuričová, Győző Kővári",
    "cp1254": "Çağrı Yıldırım, Gülşen Özgür, Işıl Şahin, Ömer Ünlü, İbrahim Doğan, Ayşegül Çelik",
    "cp1258": "Đào Thu, Lê Hoà, Bùi Đuc, Ngô Hoài, Phùng Hiêu, Trân Quôc, Vu Hông Ân",
}


@pytest.mark.parametrize(
    ("names", "page"),
    [
        *((RUSSIAN, page) for page in ("cp1251", "koi8_r", "cp866", "mac_cyrillic")),
        (BULGARIAN, "cp1251"),
        (GREEK, "cp1253"),
        (HEBREW, "cp1255"),
        (ARABIC, "cp1256"),
        (THAI, "cp874"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        (TAIWANESE, "big5"),
        (KOREAN, "cp949"),
    ],
)
def test_other_letters_are_read_in_their_code_page(
    landing: Path, contacts: Mapping, names: str, page: str
) -> None:
    written = names.split(", ")
    rows = "".join(f"{n},{name},user{n}@example.com\n" for n, name in enumerate(written))
    frame, landed = read(landing / "a.csv", contacts, (HEADER + rows).encode(page))
    assert frame["FirstName"].to_list() == written
    assert landed.encoding == page
    assert any(f"were read as {page}" in warning for warning in landed.warnings)


@pytest.mark.parametrize(("page", "names"), LATIN.items())
def test_latin_letters_stay_in_the_commonest_page(page: str, names: str) -> None:
    assert code_page("\n".join(names.split(", ") * 9).encode(page)) == "cp1252"


@pytest.mark.parametrize("names", [RUSSIAN, GREEK, HEBREW, JAPANESE])
def test_utf8_cut_within_a_letter_is_of_no_code_page(landing: Path, contacts: Mapping, names: str) -> None:
    cut = [name.encode()[:-1] for name in names.split(", ")]
    rows = b"".join(b"%d,%s,user%d@example.com\n" % (n, name, n) for n, name in enumerate(cut))
    assert code_page(rows) == "cp1252"
    _, landed = read(landing / "a.csv", contacts, HEADER.encode() + b"x,Jo,jo@example.com\n" + rows)
    assert landed.encoding in ("utf-8", "utf-8+cp1252", "cp1252")


def test_a_few_words_tell_nothing() -> None:
    assert code_page("été, Öä, ÀÉÎ\n".encode("cp1252")) == "cp1252"
    assert code_page(b"") == "cp1252"


def test_nobody_is_asked_for_a_page_that_the_mapping_names(
    landing: Path, contacts: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "code_page", None)
    declared = contacts.model_copy(update={"encoding": "cp1250"})
    data = (HEADER + "1,Łukasz Wójcik,l@example.com\n").encode("cp1250")
    frame, landed = read(landing / "a.csv", declared, data)
    assert frame["FirstName"].to_list() == ["Łukasz Wójcik"]
    assert (landed.encoding, landed.warnings) == ("cp1250", [])
