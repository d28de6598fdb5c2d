"""Documents made for tests, each with a fact of its own and a known place for it."""

import email.message
import json
import zipfile
from pathlib import Path


def pdf(path: Path, pages: list[str], password: str = "") -> None:
    import fpdf

    made = fpdf.FPDF()
    made.set_font("helvetica", size=12)
    if password:
        made.set_encryption(owner_password="o", user_password=password)
    for text in pages:
        made.add_page()
        made.multi_cell(0, 8, text)
    made.output(str(path))


def docx(path: Path, parts: list[tuple[str, list[str]]]) -> None:
    import docx as library

    made = library.Document()
    for heading, paragraphs in parts:
        made.add_heading(heading, 1)
        for text in paragraphs:
            made.add_paragraph(text)
    made.save(str(path))


def xlsx(path: Path, sheets: dict[str, list[list]], corner: tuple[int, int] = (1, 1)) -> None:
    import openpyxl

    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                sheet.cell(corner[0] + r, corner[1] + c, value)
    made.save(str(path))


_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_REL = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"


def pptx(path: Path, slides: list[str]) -> None:
    """The least that a presentation is."""
    numbers = range(1, len(slides) + 1)
    with zipfile.ZipFile(path, "w") as z:
        parts = "".join(
            f'<Override PartName="/ppt/slides/slide{n}.xml" ContentType="application/vnd.'
            'openxmlformats-officedocument.presentationml.slide+xml"/>'
            for n in numbers
        )
        z.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.'
            'openxmlformats-package.relationships+xml"/><Override PartName="/ppt/presentation.xml"'
            ' ContentType="application/vnd.openxmlformats-officedocument.presentationml.'
            f'presentation.main+xml"/>{parts}</Types>',
        )
        kind = f"{_R}/officeDocument"
        z.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_REL}"><Relationship Id="rId1" Type="{kind}"'
            ' Target="ppt/presentation.xml"/></Relationships>',
        )
        ids = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in numbers)
        z.writestr(
            "ppt/presentation.xml",
            f'<p:presentation xmlns:p="{_P}" xmlns:r="{_R}"><p:sldIdLst>{ids}</p:sldIdLst>'
            "</p:presentation>",
        )
        links = "".join(
            f'<Relationship Id="rId{n}" Type="{_R}/slide" Target="slides/slide{n}.xml"/>'
            for n in numbers
        )
        z.writestr(
            "ppt/_rels/presentation.xml.rels",
            f'<Relationships xmlns="{_REL}">{links}</Relationships>',
        )
        for n, text in zip(numbers, slides, strict=True):
            z.writestr(
                f"ppt/slides/slide{n}.xml",
                f'<p:sld xmlns:p="{_P}" xmlns:a="{_A}"><p:cSld><p:spTree><p:sp><p:txBody>'
                f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld>"
                "</p:sld>",
            )


def html(path: Path, fact: str) -> None:
    body = "".join(f"<p>{fact} Paragraph {n} of the main story goes on.</p>" for n in range(9))
    path.write_text(
        "<html><head><title>T</title></head><body><nav><a href='/'>MENUWORD</a></nav>"
        f"<article><h1>News</h1>{body}</article><footer>FOOTERWORD</footer></body></html>"
    )


def eml(path: Path, subject: str, body: str) -> None:
    made = email.message.EmailMessage()
    made["Subject"], made["From"], made["To"] = subject, "ann@example.org", "bob@example.org"
    made.set_content(body)
    path.write_bytes(bytes(made))


def epub(path: Path, chapter: str, text: str) -> None:
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("mimetype", "application/epub+zip")
        z.writestr(
            "META-INF/container.xml",
            '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:'
            'xmlns:container"><rootfiles><rootfile full-path="c.opf" media-type="application/'
            'oebps-package+xml"/></rootfiles></container>',
        )
        z.writestr(
            "c.opf",
            '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="2.0"'
            ' unique-identifier="i"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            '<dc:title>B</dc:title><dc:identifier id="i">1</dc:identifier></metadata><manifest>'
            '<item id="c1" href="c1.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
            '<itemref idref="c1"/></spine></package>',
        )
        z.writestr(
            "c1.xhtml",
            "<html xmlns='http://www.w3.org/1999/xhtml'><body>"
            f"<h1>{chapter}</h1><p>{text}</p></body></html>",
        )


def odt(path: Path, text: str) -> None:
    names = "urn:oasis:names:tc:opendocument:xmlns:"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        z.writestr(
            "content.xml",
            f'<?xml version="1.0"?><o:document-content xmlns:o="{names}office:1.0"'
            f' xmlns:t="{names}text:1.0"><o:body><o:text><t:p>{text}</t:p></o:text></o:body>'
            "</o:document-content>",
        )


def ipynb(path: Path, cells: list[tuple[str, str]]) -> None:
    made = [
        {"cell_type": kind, "source": text.splitlines(keepends=True), "metadata": {}}
        for kind, text in cells
    ]
    path.write_text(json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5}))


def archive(path: Path, entries: dict[str, bytes], *, locked: bool = False) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in entries.items():
            z.writestr(name, data)
    if locked:  # the mark of encryption in both headers of each entry
        raw = bytearray(path.read_bytes())
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            found = raw.find(mark)
            while found >= 0:
                raw[found + at] |= 1
                found = raw.find(mark, found + 4)
        path.write_bytes(bytes(raw))
