"""Which kinds of documents can be read here, by what, and what to install for the others."""

from importlib.util import find_spec

from oros.services.index.inside import office, scans, speech


def kinds(hears: str = "") -> dict[str, str]:
    """A line for each kind; it says `no`, or `in part`, where something is missing.

    It looks at what is installed and loads nothing. `hears`: what recordings are read with, "" for
    nothing.
    """
    return {
        "text": "text, Markdown, tables, source files, notebooks: yes",
        "office": documents(),
        "web": web(),
        "pictures": pictures(),
        "recordings": f"recordings: {f'yes, by {hears}' if hears else f'no; {speech.NEEDS}'}",
    }


def documents() -> str:
    """PDF, Office and the like."""
    named = "PDF, Office, mail, e-books, archives"
    found = find_spec("kreuzberg") is not None
    return f"{named}: yes, by kreuzberg" if found else f"{named}: no; {office.NEEDS}"


def web() -> str:
    """Web pages: without a library all of their words are kept."""
    if find_spec("trafilatura") is not None:
        return "web pages: yes, by trafilatura"
    return f"web pages: in part, with their menus; else {office.NEEDS}"


def pictures() -> str:
    """Pictures and scans; the pages of a scanned PDF are drawn by what reads PDF."""
    readers, (_, languages) = find_spec("kreuzberg"), scans.tessdata()
    if languages:  # it is asked through the library
        by = f"yes, by tesseract ({languages})" if readers else f"no; {office.NEEDS}"
        return f"pictures and scans: {by}"
    if not (find_spec("rapidocr") and find_spec("onnxruntime")):
        return f"pictures and scans: no; {scans.NEEDS}"
    if readers is None:
        return f"pictures: yes, by RapidOCR; scans: no; {office.NEEDS}"
    return "pictures and scans: yes, by RapidOCR"
