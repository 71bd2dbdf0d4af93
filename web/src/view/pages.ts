/** What the pages beside the worklist have in common. */

import { h } from "./dom";

export interface Column<Row> {
  name: string;
  /** What the name means, for those who rest on it. */
  title?: string;
  text: (row: Row) => string;
  /** What rows are sorted by; null goes last. Without it, the column is the name of the row. */
  value?: (row: Row) => number | null;
}

/** A column of whole numbers. */
export function counts<Row>(name: string, title: string, value: (row: Row) => number): Column<Row> {
  return { name, title, text: (row) => String(value(row)), value };
}

/** A column of measured values. */
export function figures<Row>(
  name: string,
  title: string,
  value: (row: Row) => number | null,
  digits?: number,
): Column<Row> {
  return { name, title, text: (row) => figure(value(row), digits), value };
}

/** A table that scrolls by itself, also by the keyboard. */
export function scrolling(table: HTMLElement, kind = "scrolls"): HTMLElement {
  return h("div", { class: kind, tabindex: 0, role: "region", "aria-label": "Table" }, table);
}

/** Puts a page into the document, once what it shows is there. Returns what ends it. */
export type Shown = (root: HTMLElement) => () => void;

/** A page with a heading and the way back to the worklist. */
export function shell(root: HTMLElement, title: string, ...children: (Node | false)[]): void {
  const heading = h("h1", { tabindex: -1 }, title);
  root.replaceChildren(
    h(
      "main",
      { class: "sheet" },
      h("header", {}, h("a", { href: "#/", class: "back" }, "Worklist"), heading),
      ...children,
    ),
  );
  // a person who listens hears where they are
  heading.focus();
}

/** w leads back to the worklist. Return what ends that. */
export function backKey(): () => void {
  const key = (event: KeyboardEvent) => {
    const typing = event.target instanceof HTMLSelectElement || event.target instanceof HTMLInputElement;
    if (event.key === "w" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) location.hash = "#/";
  };
  document.addEventListener("keydown", key);
  return () => {
    document.removeEventListener("keydown", key);
  };
}

/** Rows by a column: from small to large or back, what has no value last. */
export function sorted<Row>(rows: Row[], value: (row: Row) => number | null, down: boolean): Row[] {
  return [...rows].sort((one, two) => {
    const [a, b] = [value(one), value(two)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return down ? b - a : a - b;
  });
}

/** A table whose columns sort at a click. ``chosen`` makes the first column buttons. */
export class SortedTable<Row> {
  readonly element: HTMLTableElement;
  private readonly body = h("tbody", {});
  private readonly heads: HTMLElement[];
  private by: { column: number; down: boolean } | null = null;
  private rows: Row[] = [];
  private marked: Row | null = null;

  constructor(
    caption: string,
    private readonly columns: Column<Row>[],
    private readonly chosen: ((row: Row) => void) | null = null,
  ) {
    this.heads = columns.map(({ name, title, value }, index) => {
      const click = () => {
        this.sort(index);
      };
      return h(
        "th",
        { scope: "col", title },
        value ? h("button", { type: "button", class: "sort", click }, name) : name,
      );
    });
    this.element = h(
      "table",
      { class: "figures" },
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, ...this.heads)),
      this.body,
    );
  }

  show(rows: Row[]): void {
    this.rows = rows;
    this.draw();
  }

  mark(row: Row | null): void {
    this.marked = row;
    this.draw();
  }

  private sort(column: number): void {
    // the largest first: that is what a person looks for
    const down = this.by?.column !== column || !this.by.down;
    this.by = { column, down };
    this.draw();
  }

  private draw(): void {
    const { by } = this;
    const value = by && this.columns[by.column]?.value;
    const rows = value ? sorted(this.rows, value, by.down) : this.rows;
    for (const [index, head] of this.heads.entries()) {
      if (by?.column === index) head.setAttribute("aria-sort", by.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const focused = this.body.contains(document.activeElement);
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
    if (focused) this.body.querySelector<HTMLElement>("[aria-pressed=true]")?.focus();
  }

  private row(row: Row): HTMLElement {
    const marked = row === this.marked;
    const cells = this.columns.map((column, index) => {
      const text = column.text(row);
      if (index > 0) return h("td", {}, text);
      if (!this.chosen) return h("th", { scope: "row" }, text);
      const click = () => {
        this.chosen?.(row);
      };
      const button = h("button", { type: "button", "aria-pressed": String(marked), click }, text);
      return h("th", { scope: "row" }, button);
    });
    return h("tr", { class: marked ? "marked" : null }, ...cells);
  }
}

/** A number for a table; a true minus sign, nothing where nothing is known. */
export function figure(value: number | null, digits = 2): string {
  return value === null ? "–" : value.toFixed(digits).replace("-", "\u2212");
}
