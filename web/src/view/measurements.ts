/** The measurements and classes beside the film. */

import { withUnit } from "../model/units";
import type { FilmClass, Measured, Measurement } from "../types";
import { h } from "./dom";

const CLASSES = "Classes";
/** after which groups out of sight follow those in sight */
const REST_MS = 200;

function number(value: number): string {
  return value.toFixed(1).replace("-", "\u2212");
}

function signed(value: number): string {
  return (value > 0 ? "+" : "") + number(value);
}

/** What one row shows; its cells change while a point moves, and nothing else of the table. */
interface Row {
  element: HTMLTableRowElement;
  texts: HTMLElement[];
  group: Element;
}

export class MeasurementTable {
  // roles: the style gives rows a layout of their own, and with it a table would lose its meaning for screen readers
  readonly element = h("table", { class: "measurements", role: "table" });
  private rows = new Map<string, Row>();
  private shape = "";
  private shown: Measured | null = null;
  private rest = 0;
  private readonly inSight = new Set<Element>();
  private readonly sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.inSight.add(target);
      else this.inSight.delete(target);
    }
    this.write(false);
  });

  /** Show measurements. While a point moves there is no time to lay out what is not in sight: that comes with a rest. */
  show(measured: Measured): void {
    this.shown = measured;
    const { measurements, classes } = measured;
    const symbols = [normed(measured), ...measurements.map(key), "", ...classes.map((one) => one.symbol)].join();
    const other = symbols !== this.shape;
    if (other) this.build(measurements, classes, normed(measured));
    this.shape = symbols;
    this.write(other);
    clearTimeout(this.rest);
    this.rest = window.setTimeout(() => {
      this.write(true);
    }, REST_MS);
  }

  destroy(): void {
    clearTimeout(this.rest);
    this.sight.disconnect();
  }

  private write(all: boolean): void {
    if (!this.shown) return;
    const withNorms = normed(this.shown);
    const fill = (name: string, texts: () => [string, string[]]) => {
      const row = this.rows.get(name);
      if (row && (all || this.inSight.has(row.group))) this.fill(row, ...texts());
    };
    for (const one of this.shown.measurements) fill(one.symbol, () => cellsOf(one, withNorms));
    for (const one of this.shown.classes) {
      fill(`class ${one.symbol}`, () => [one.certain ? "" : "doubt", [one.text]]);
    }
  }

  private fill(row: Row, name: string, texts: string[]): void {
    if (row.element.className !== name) row.element.className = name;
    for (const [index, place] of row.texts.entries()) {
      const text = texts[index] ?? "";
      if (place.textContent !== text) place.textContent = text;
    }
  }

  private build(measurements: Measurement[], classes: FilmClass[], withNorms: boolean): void {
    const heads = withNorms ? ["measurement", "value", "norm", "deviation"] : ["measurement", "value"];
    const groups = new Map<string, Measurement[]>();
    for (const one of measurements) groups.set(one.analysis, [...(groups.get(one.analysis) ?? []), one]);
    this.rows = new Map();
    this.sight.disconnect();
    this.inSight.clear();
    const group = (title: string, about: string | null, rows: Row[]) => {
      const name = h("th", { colspan: heads.length, scope: "rowgroup", role: "rowheader", title: about }, title);
      const body = h("tbody", { role: "rowgroup" }, h("tr", { role: "row" }, name), ...rows.map((row) => row.element));
      for (const row of rows) row.group = body;
      this.sight.observe(body);
      return body;
    };
    const wide = () => [h("td", { role: "cell", colspan: heads.length - 1, class: "reason" }, h("div"))];
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
                  return h("td", { role: "cell", class: head, title: about }, h("div"));
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
    this.element.classList.toggle("normed", withNorms);
    this.element.replaceChildren(head, ...bodies);
  }

  private row(
    name: string,
    text: string,
    title: string | null,
    cells: HTMLTableCellElement[],
    attributes: Record<string, string>,
  ): Row {
    const head = h("th", { scope: "row", role: "rowheader", title }, text);
    const element = h("tr", { role: "row", ...attributes }, head, ...cells);
    const row = { element, texts: cells.map((cell) => cell.firstElementChild as HTMLElement), group: element };
    this.rows.set(name, row);
    return row;
  }
}

/** Whether a value has a norm: without one for this patient, two columns would be empty. */
function normed({ measurements }: Measured): boolean {
  return measurements.some((one) => one.norm !== null);
}

/** What decides which cells a row has. */
function key(one: Measurement): string {
  return `${one.symbol}${one.value === null ? "-" : ""}${one.norm ? "~" : ""}`;
}

/** The class of a row, and the texts of its cells. */
function cellsOf(one: Measurement, withNorms: boolean): [string, string[]] {
  if (one.value === null) return ["none", [one.reason ?? "not measured"]];
  const value = withUnit(number(one.value), one.unit);
  if (!withNorms) return ["", [value]];
  const outside = one.verdict === "within" ? "" : one.verdict;
  const deviation = one.deviation === null ? "" : `${signed(one.deviation)} SD`;
  const name = outside === "" ? "" : `flag ${outside === "not certain" ? "doubt" : outside}`;
  return [name, [value, one.norm?.text ?? "", [deviation, outside].filter(Boolean).join(" ")]];
}
