"""Pages of a PDF: text, tables, charts and drawings as vectors on A4, with fonts inside the file.

The same content gives the same bytes. ReportLab draws it, the extra ``report``. Its font, Bitstream Vera, has Latin
letters; others appear as their code points, such as ``\\u5c71``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol
from xml.sax.saxutils import escape

from monai_ceph.errors import CephError
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.report_content import CHART_LIMIT, MeasurementRow, signed_number
from monai_ceph.reports.shapes import Circle, Line, Shape, Words, width_of
from monai_ceph.reports.tracing_layout import TracingShapes
from monai_ceph.version import __version__

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

__all__ = ["COLUMN", "SOFT", "STRONG", "VERDICT_COLOURS", "WARN", "Drawing", "PdfPage", "TableLine", "printable"]

_MM = 72 / 25.4
_WIDTH, _HEIGHT = 210 * _MM, 297 * _MM
_MARGIN, _BOTTOM = 10 * _MM, 16 * _MM
_GAP = 4 * _MM
_INNER = _WIDTH - 2 * _MARGIN
COLUMN = (_INNER - _GAP) / 2
_FIGURE_HEIGHT = 110 * _MM
_SMALL, _LEADING = 6.2, 7.5
_INK, SOFT, _LINE, _BLUE, WARN, _BAND = "#1a1a1a", "#555555", "#d0d0d0", "#1f4e9c", "#8a3b00", "#e3ebf7"
# a value inside the norm may be in doubt, too, so doubt has a colour of its own
VERDICT_COLOURS = {"above": WARN, "below": WARN, "not certain": "#5b3a8c"}
_PLAIN, STRONG = "Vera", "VeraBd"


class Drawing(Protocol):
    """A figure with a legend below it, in a unit of its own: x right, y down."""

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows) without the legend."""

    @property
    def film_png(self) -> bytes | None:
        """The picture under the drawing, as PNG; None on paper."""

    @property
    def shapes(self) -> TracingShapes:
        """What is drawn."""


@dataclass(frozen=True)
class TableLine:
    """A line of a table.

    Attributes:
        cells: texts; a single one is the title of the lines below it.
        colour: of the last cell; None: that of the text.
    """

    cells: tuple[str, ...]
    colour: str | None = None


def _register_fonts() -> None:
    """Make the fonts known; they are embedded as far as letters are used."""
    try:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont
    except ImportError as error:
        raise CephError("PDF reports need ReportLab: pip install 'monai-ceph[report]'") from error
    for name in (_PLAIN, STRONG):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))


@cache
def _letters() -> frozenset[int]:
    from reportlab.pdfbase import pdfmetrics

    return frozenset(pdfmetrics.getFont(_PLAIN).face.charToGlyph) & frozenset(
        pdfmetrics.getFont(STRONG).face.charToGlyph
    )


def printable(text: str) -> str:
    """Return text with the code points of letters that the font lacks, so that none is lost without a trace."""
    return "".join(
        sign if ord(sign) in _letters() else sign.encode("ascii", "backslashreplace").decode() for sign in text
    )


class PdfPage:
    """An A4 page that is filled from top to bottom, and the pages after it.

    Args:
        title: of the document, also at the foot of every page.
        standing: draft or signature, at the foot of every page.

    Raises:
        CephError: ReportLab is not installed.
    """

    def __init__(self, title: str, standing: str) -> None:
        _register_fonts()
        from reportlab.pdfgen.canvas import Canvas

        self._file = io.BytesIO()
        self.canvas: Canvas = Canvas(
            self._file, pagesize=(_WIDTH, _HEIGHT), invariant=1, pageCompression=1, initialFontName=_PLAIN, lang="en"
        )
        self.canvas.setTitle(title)
        self.canvas.setCreator(f"monai-ceph {__version__}")
        self._foot = f"{standing}. {NOTICE} {title}"
        self._y = _HEIGHT - _MARGIN

    def finish(self) -> bytes:
        """Return the document."""
        self._end_page()
        self.canvas.save()
        return self._file.getvalue()

    def heading(self, text: str) -> None:
        """Write the title."""
        self.text(text, STRONG, size=11)

    def text(self, text: str, font: str = _PLAIN, colour: str = _INK, size: float = _SMALL) -> None:
        """Write a paragraph over the whole width."""
        self._need(self._paragraph(text, 0, 0, _INNER, font, colour, size, draw=False))
        self._y -= self._paragraph(text, _MARGIN, self._y, _INNER, font, colour, size) + 1.5

    def _paragraph(
        self, text: str, left: float, top: float, width: float, font: str, colour: str, size: float, draw: bool = True
    ) -> float:
        """Write a paragraph and return its height."""
        from reportlab.lib.colors import HexColor
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import Paragraph

        style = ParagraphStyle(
            "", fontName=font, fontSize=size, leading=1.2 * size, textColor=HexColor(colour), splitLongWords=1
        )
        paragraph = Paragraph(escape(printable(text)), style)
        _, height = paragraph.wrap(width, _HEIGHT)
        if draw:
            paragraph.drawOn(self.canvas, left, top - height)
        return float(height)

    def badge(self, text: str, signed: bool) -> None:
        """Write a framed line that says whether anybody reviewed the report."""
        size, pad = 8.5, 3.0
        text = printable(text)
        width, height = self.canvas.stringWidth(text, STRONG, size) + 2 * pad, size + 2 * pad
        self._need(height)
        self.canvas.setFillColor("#e2f2e5" if signed else "#fff3cd")
        self.canvas.setStrokeColor("#14501f" if signed else "#5c3d00")
        self.canvas.setLineWidth(1)
        self.canvas.rect(_MARGIN, self._y - height, width, height, stroke=1, fill=1)
        self._write(text, _MARGIN + pad, self._y - height + pad + 1.5, STRONG, size, "#14501f" if signed else "#5c3d00")
        self._y -= height + 3

    def figures(self, drawings: Sequence[Drawing]) -> float:
        """Draw figures side by side, at most two, and return the height that they take, in points."""
        scales = [min(COLUMN / each.size[0], _FIGURE_HEIGHT / each.shapes.height) for each in drawings]
        height = max(scale * each.shapes.height for scale, each in zip(scales, drawings, strict=True))
        self._need(height + 6)
        self._y -= 2
        for number, (each, scale) in enumerate(zip(drawings, scales, strict=True)):
            self._figure(each, _MARGIN + number * (COLUMN + _GAP), self._y, scale)
        self._y -= height + 4
        return height

    def beside(self, height: float, chart: Sequence[MeasurementRow], text: Sequence[str]) -> None:
        """Fill the space to the right of a figure that was drawn last: a chart, then paragraphs.

        Args:
            height: of the figure, in points.
            chart: rows with a deviation from a norm.
            text: paragraphs.
        """
        left, top = _MARGIN + COLUMN + _GAP, self._y + height + 4
        if chart:
            chart_height = min(height, 11.0 * (len(chart) + 2))
            self._chart(chart, left, top, COLUMN, chart_height)
            top -= chart_height + 8
        for each in text:
            top -= self._paragraph(each, left, top, COLUMN, _PLAIN, SOFT, _SMALL) + 2

    def _figure(self, figure: Drawing, left: float, top: float, scale: float) -> None:
        """Draw a film with its tracing and legend.

        Args:
            figure: what to draw.
            left: of the page, in points.
            top: of the page, in points from its bottom.
            scale: points per source pixel.
        """
        from reportlab.lib.utils import ImageReader

        canvas, shapes, (columns, rows) = self.canvas, figure.shapes, figure.size
        width, height, whole = columns * scale, rows * scale, shapes.height * scale
        canvas.setFillColor(shapes.paper)
        canvas.rect(left, top - whole, width, whole, stroke=0, fill=1)
        if figure.film_png is not None:
            picture = ImageReader(io.BytesIO(figure.film_png))
            canvas.drawImage(picture, left, top - height, width, height)
        pen = _Pen(canvas, left, top, scale, shapes.halo)
        for layers, bottom in ((shapes.layers, top - height), (shapes.legend, top - whole)):
            canvas.saveState()
            box = canvas.beginPath()
            box.rect(left, bottom, width, top - bottom)
            canvas.clipPath(box, stroke=0, fill=0)
            for layer in layers:
                for shape in layer.all_shapes():
                    pen.draw(shape)
            canvas.restoreState()
        canvas.setStrokeColor(_LINE)
        canvas.setLineWidth(0.5)
        canvas.rect(left, top - whole, width, whole, stroke=1, fill=0)

    def _chart(self, rows: Sequence[MeasurementRow], left: float, top: float, width: float, height: float) -> None:
        canvas, limit = self.canvas, CHART_LIMIT
        low, high = left + 0.27 * width, left + 0.84 * width
        step = height / (len(rows) + 1)
        middle, unit = (low + high) / 2, (high - low) / 2 / limit
        bottom = top - height

        def at(deviation: float) -> float:
            return middle + max(-limit, min(limit, deviation)) * unit

        canvas.setFillColor(_BAND)
        canvas.rect(at(-1), bottom, 2 * unit, height - step, stroke=0, fill=1)
        for sd in range(-int(limit), int(limit) + 1):
            canvas.setStrokeColor(SOFT if sd == 0 else _LINE)
            canvas.setLineWidth(0.7 if sd == 0 else 0.4)
            canvas.line(at(sd), bottom, at(sd), top - step)
            label = signed_number(sd, 0) if sd else "norm"
            self._write(label, at(sd), top - step + 3, _PLAIN, 5.5, SOFT, "centre")
        places = [(at(row.deviation or 0.0), top - step * (index + 1.5)) for index, row in enumerate(rows)]
        size = min(6.2, 0.8 * step)
        for row, (_, y) in zip(rows, places, strict=True):
            if row.deviation_interval is not None:
                canvas.setStrokeColor("#7a92b8")
                canvas.setLineWidth(1.8)
                canvas.line(at(row.deviation_interval[0]), y, at(row.deviation_interval[1]), y)
            self._write(row.symbol, low - 4, y - 0.35 * size, _PLAIN, size, _INK, "right")
            colour = VERDICT_COLOURS.get(row.verdict, SOFT)
            self._write(row.value, high + 4, y - 0.35 * size, _PLAIN, size, colour)
        canvas.setStrokeColor(_BLUE)
        canvas.setLineWidth(0.7)
        for (x0, y0), (x1, y1) in pairwise(places):
            canvas.line(x0, y0, x1, y1)
        for row, (x, y) in zip(rows, places, strict=True):
            canvas.setFillColor(VERDICT_COLOURS.get(row.verdict, _BLUE))
            if abs(row.deviation or 0.0) > limit:
                back = -4 if x > middle else 4
                arrow = canvas.beginPath()
                arrow.moveTo(x, y)
                arrow.lineTo(x + back, y + 2.5)
                arrow.lineTo(x + back, y - 2.5)
                arrow.close()
                canvas.drawPath(arrow, stroke=0, fill=1)
            else:
                canvas.circle(x, y, 1.8, stroke=0, fill=1)

    def table(self, lines: Sequence[TableLine], titles: Sequence[str], shares: Sequence[float]) -> None:
        """Write lines of cells in two columns side by side, each analysis under its title.

        Args:
            lines: from the top of the left column to the bottom of the right one.
            titles: of the cells, above both columns.
            shares: width of each cell; together 1.
        """
        rest = list(lines)
        while rest:
            self._need(4 * _LEADING)
            room = int((self._y - _BOTTOM) // _LEADING) - 1
            each = min(room, -(-len(rest) // 2))
            for column in range(2):
                count = min(each, len(rest))
                # a title is never left without its text at the end of a column
                while 1 < count < len(rest) and len(rest[count - 1].cells) == 1:
                    count -= 1
                part, rest = rest[:count], rest[count:]
                if part:
                    self._column(part, titles, shares, _MARGIN + column * (COLUMN + _GAP))
            # what a title moved from the left may leave a line over
            self._y -= (each + 1) * _LEADING + 3

    def _column(self, lines: Sequence[TableLine], titles: Sequence[str], shares: Sequence[float], left: float) -> None:
        for number, line in enumerate((TableLine(tuple(titles)), *lines)):
            y = self._y - (number + 1) * _LEADING
            if len(line.cells) == 1:
                self._write(line.cells[0], left, y + 1.8, STRONG, _SMALL + 0.3, _INK)
                continue
            x = left
            for place, (cell, share) in enumerate(zip(line.cells, shares, strict=True)):
                last = place == len(line.cells) - 1
                colour = SOFT if number == 0 else (last and line.colour) or _INK
                text, width = printable(cell), share * COLUMN
                wide = self.canvas.stringWidth(text, _PLAIN, _SMALL)
                size = _SMALL * min(1.0, (width - 2) / wide) if wide else _SMALL
                self._write(text, x, y + 1.8, _PLAIN, size, colour)
                x += width
            self.canvas.setStrokeColor(_LINE)
            self.canvas.setLineWidth(0.3)
            self.canvas.line(left, y, left + COLUMN, y)

    def _write(self, text: str, x: float, y: float, font: str, size: float, colour: str, align: str = "left") -> None:
        self.canvas.setFillColor(colour)
        self.canvas.setFont(font, size)
        text = printable(text)
        write = {"left": self.canvas.drawString, "right": self.canvas.drawRightString}.get(
            align, self.canvas.drawCentredString
        )
        write(x, y, text)

    def _need(self, height: float) -> None:
        if self._y - height < _BOTTOM and self._y < _HEIGHT - _MARGIN:
            self._end_page()
            self._y = _HEIGHT - _MARGIN

    def _end_page(self) -> None:
        number = f"page {self.canvas.getPageNumber()}"
        foot = printable(self._foot)
        wide = self.canvas.stringWidth(foot, _PLAIN, 6)
        self._write(foot, _MARGIN, 9 * _MM, _PLAIN, 6 * min(1.0, (_INNER - 50) / wide), SOFT)
        self._write(number, _WIDTH - _MARGIN, 9 * _MM, _PLAIN, 6, SOFT, "right")
        self.canvas.showPage()


class _Pen:
    """Draws shapes in source pixels on a part of a page."""

    def __init__(self, canvas: Any, left: float, top: float, scale: float, halo: str) -> None:
        self._canvas, self._left, self._top, self._scale, self._halo = canvas, left, top, scale, halo

    def draw(self, shape: Shape) -> None:
        if isinstance(shape, Words):
            self._words(shape)
            return
        for colour, width in self._strokes(shape):
            self._canvas.setStrokeColor(colour)
            self._canvas.setLineWidth(width * self._scale)
            self._canvas.setLineCap(1)
            self._canvas.setLineJoin(1)
            self._canvas.setDash(
                [5 * shape.width * self._scale, 4 * shape.width * self._scale] if _dashed(shape) else []
            )
            if isinstance(shape, Circle):
                self._canvas.circle(*self._place(shape.centre), shape.radius * self._scale, stroke=1, fill=0)
            else:
                path = self._canvas.beginPath()
                path.moveTo(*self._place(shape.points[0]))
                for point in shape.points[1:]:
                    path.lineTo(*self._place(point))
                self._canvas.drawPath(path, stroke=1, fill=0)
        self._canvas.setDash([])

    def _strokes(self, shape: Line | Circle) -> Iterator[tuple[str, float]]:
        yield self._halo, 2 * shape.width
        yield shape.colour, shape.width

    def _place(self, point: tuple[float, float]) -> tuple[float, float]:
        # pixel centres are at integers, the corner of the film is half a pixel before
        return self._left + (point[0] + 0.5) * self._scale, self._top - (point[1] + 0.5) * self._scale

    def _words(self, words: Words) -> None:
        text = printable(words.text)
        size = words.size * self._scale
        wide = self._canvas.stringWidth(text, _PLAIN, size)
        if not wide:
            return
        for mode, colour in ((1, self._halo), (0, words.colour)):
            # the mode of a text outlives it, and 0 is not written where it is the default
            self._canvas.saveState()
            block = self._canvas.beginText(*self._place(words.start))
            block.setFont(_PLAIN, size)
            # the width that places were measured for
            block.setHorizScale(100 * width_of(words.text, words.size) * self._scale / wide)
            block.setTextRenderMode(mode)
            block.setFillColor(colour)
            block.setStrokeColor(colour)
            self._canvas.setLineWidth(size / 6)
            block.textOut(text)
            self._canvas.drawText(block)
            self._canvas.restoreState()


def _dashed(shape: Line | Circle) -> bool:
    return isinstance(shape, Line) and shape.dashed
