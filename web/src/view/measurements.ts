/** The measurements and classes beside the film. */

import { withUnit } from "../model/units";
import type { FilmClass, Measured, Measurement } from "../types";
import { h } from "./dom";

const CLASSES = "Classes";
/** of a row, as long as nobody saw it */
const ROW_REM = 1.53;

function number(value: number): string {
  return value.toFixed(1).replace("-", "\u2212");
}

function signed(value: number): string {
  return (value > 0 ? "+" : "") + number(value);
}

/** What one row shows; its cells change while a point moves, and nothing else of the table. */
interface Row {
  element: HTMLTableRowElement;
  cells: HTMLTableCellElement[];
}

export class MeasurementTable {
  // roles: the style gives rows a layout of their own, and with it a table would lose its meaning for screen readers
  readonly element = h("table", { class: "measurements", role: "table" });
  private rows = new Map<string, Row>();
  private shape = "";

  show({ measurements, classes }: Measured): void {
    // without a norm for this patient, two columns would be empty
    const normed = measurements.some((one) => one.norm !== null);
    const symbols = [normed, ...measurements.map(key), "", ...classes.map((one) => one.symbol)];
    if (symbols.join() !== this.shape) {
      this.build(measurements, classes, normed);
      this.shape = symbols.join();
    }
    for (const one of measurements) this.fill(this.rows.get(one.symbol), ...cellsOf(one, normed));
    for (const one of classes) {
      this.fill(this.rows.get(`class ${one.symbol}`), one.certain ? "" : "doubt", [one.text]);
    }
  }

  private fill(row: Row | undefined, name: string, texts: string[]): void {
    if (!row) return;
    if (row.element.className !== name) row.element.className = name;
    for (const [index, cell] of row.cells.entries()) {
      const text = texts[index] ?? "";
      if (cell.textContent !== text) cell.textContent = text;
    }
  }

  private build(measurements: Measurement[], classes: FilmClass[], normed: boolean): void {
    const heads = normed ? ["measurement", "value", "norm", "deviation"] : ["measurement", "value"];
    const groups = new Map<string, Measurement[]>();
    for (const one of measurements) groups.set(one.analysis, [...(groups.get(one.analysis) ?? []), one]);
    this.rows = new Map();
    const group = (title: string, about: string | null, rows: HTMLElement[]) => {
      const name = h("th", { colspan: heads.length, scope: "rowgroup", role: "rowheader", title: about }, title);
      const body = h("tbody", { role: "rowgroup" }, h("tr", { role: "row" }, name), ...rows);
      body.style.containIntrinsicBlockSize = `auto ${(rows.length + 1) * ROW_REM}rem`;
      return body;
    };
    const wide = () => [h("td", { role: "cell", colspan: heads.length - 1, class: "reason" })];
    const bodies = [...groups].map(([title, those]) =>
      group(
        title,
        null,
        those.map((one) => {
          const cells =
            one.value === null
              ? wide()
              : heads.slice(1).map((head) => {
                  const about = head === "norm" ? one.norm?.citation : null;
                  return h("td", { role: "cell", class: head, title: about });
                });
          return this.row(one.symbol, one.symbol, one.name, cells, { "data-measurement": one.symbol });
        }),
      ),
    );
    if (classes.length > 0) {
      const about = "By the limits of the ISBI 2015 challenge. Not certain: the interval of the value crosses a limit.";
      const rows = classes.map((one) =>
        this.row(`class ${one.symbol}`, one.symbol, null, wide(), { "data-class": one.symbol }),
      );
      bodies.push(group(CLASSES, about, rows));
    }
    const names = heads.map((text) => h("th", { scope: "col", role: "columnheader" }, text));
    const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...names));
    this.element.classList.toggle("normed", normed);
    this.element.replaceChildren(head, ...bodies);
  }

  private row(
    name: string,
    text: string,
    title: string | null,
    cells: HTMLTableCellElement[],
    attributes: Record<string, string>,
  ): HTMLElement {
    const head = h("th", { scope: "row", role: "rowheader", title }, text);
    const element = h("tr", { role: "row", ...attributes }, head, ...cells);
    this.rows.set(name, { element, cells });
    return element;
  }
}

/** What decides which cells a row has. */
function key(one: Measurement): string {
  return `${one.symbol}${one.value === null ? "-" : ""}${one.norm ? "~" : ""}`;
}

/** The class of a row, and the texts of its cells. */
function cellsOf(one: Measurement, normed: boolean): [string, string[]] {
  if (one.value === null) return ["none", [one.reason ?? "not measured"]];
  const value = withUnit(number(one.value), one.unit);
  if (!normed) return ["", [value]];
  const outside = one.verdict === "within" ? "" : one.verdict;
  const deviation = one.deviation === null ? "" : `${signed(one.deviation)} SD`;
  const name = outside === "" ? "" : `flag ${outside === "not certain" ? "doubt" : outside}`;
  return [name, [value, one.norm?.text ?? "", [deviation, outside].filter(Boolean).join(" ")]];
}
