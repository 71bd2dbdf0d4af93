/** How well readers agree with each other and with the model. */

import { api } from "../api";
import { unitName } from "../model/units";
import type { Agreement, Paired } from "../types";
import { blandAltman } from "./blandaltman";
import { h } from "./dom";
import { type Column, type Shown, SortedTable, backKey, counts, figure, figures, scrolling, shell } from "./pages";

function unit(row: { unit: string }): string {
  return unitName(row.unit);
}

function title({ symbol, axis }: { symbol: string; axis: string }): string {
  return axis ? `${symbol} ${axis}` : symbol;
}

const COLUMNS: Column<Agreement>[] = [
  { name: "Value", text: title },
  counts("n", "films that both have read", both),
  { name: "unit", text: unit },
  figures("Dahlberg", "Dahlberg's error: the root of half the mean squared difference", (row) => row.dahlberg),
  figures("ICC(2,1)", "intraclass correlation, absolute agreement of single readings", (row) => row.icc, 3),
  {
    name: "Bias",
    title: "mean difference",
    text: (row) => figure(row.bias),
    value: (row) => (row.bias === null ? null : Math.abs(row.bias)),
  },
  figures("SD", "of the differences", (row) => row.sd),
  {
    name: "Limits of agreement",
    title: "of Bland and Altman: bias \u2212 1.96 SD to bias + 1.96 SD",
    text: (row) => (row.low === null ? "–" : `${figure(row.low)} to ${figure(row.high)}`),
  },
];

function both(row: Agreement): number {
  return row.films - row.missing;
}

function pairOf(row: Agreement): string {
  return JSON.stringify([row.reader, row.reference]);
}

function pairName(row: Agreement): string {
  const name = (reader: string) => (reader === "model" ? "the model" : reader);
  return `${name(row.reader)} minus ${name(row.reference)}`;
}

export async function readersPage(): Promise<Shown> {
  const rows = await api.readers();
  return (root) => page(root, rows);
}

function page(root: HTMLElement, rows: Agreement[]): () => void {
  if (rows.length === 0) {
    shell(
      root,
      "How well readers agree",
      h(
        "p",
        { class: "empty" },
        "Nobody has signed a blind reading yet. Each reader starts a review with --blind and --reviewer, and signs films.",
      ),
    );
    return backKey();
  }
  const pairs = new Map(rows.map((row) => [pairOf(row), pairName(row)]));
  const pair = h("select", { id: "pair" }, ...[...pairs].map(([value, text]) => h("option", { value }, text)));
  const kinds = h("select", { id: "kind" });
  kinds.append(
    h("option", { value: "measurement" }, "Measurements"),
    h("option", { value: "landmark" }, "Coordinates of landmarks"),
  );
  if (!rows.some((row) => row.kind === "measurement")) kinds.value = "landmark";
  const plot = h("figure", { class: "agreement", "aria-live": "polite" });
  const known = new Map<string, Promise<Paired[]>>();
  let visit = 0;
  const draw = async (row: Agreement) => {
    const mine = ++visit;
    table.mark(row);
    const key = pairOf(row);
    if (!known.has(key)) known.set(key, api.paired(row.reader, row.reference));
    try {
      const found = (await known.get(key))?.find((one) => one.kind === row.kind && title(one) === title(row));
      if (mine !== visit) return;
      const caption = `${title(row)}, ${pairName(row)}`;
      plot.replaceChildren(
        found
          ? blandAltman(title(row), unit(row), row, found.values, plot.clientWidth)
          : h("p", {}, "No film was read by both."),
        h("figcaption", {}, caption),
      );
    } catch (error) {
      known.delete(key);
      if (mine === visit)
        plot.replaceChildren(h("p", { class: "bad" }, error instanceof Error ? error.message : String(error)));
    }
  };
  const table = new SortedTable("Agreement", COLUMNS, (row) => void draw(row));
  const show = () => {
    const chosen = rows.filter((row) => pairOf(row) === pair.value && row.kind === kinds.value);
    table.show(chosen);
    const [first] = chosen;
    if (first) void draw(first);
    else plot.replaceChildren(h("p", {}, "Nothing to compare: no film that both read has a scale."));
  };
  pair.addEventListener("change", show);
  kinds.addEventListener("change", show);
  shell(
    root,
    "How well readers agree",
    h(
      "div",
      { class: "choices" },
      h("label", {}, "Compare ", pair),
      h("label", {}, "Show ", kinds),
      h("a", { href: "/api/readers.csv", download: "readers.csv", class: "download" }, "All as CSV"),
    ),
    h("div", { class: "beside" }, scrolling(table.element), plot),
    h(
      "p",
      { class: "small" },
      "Blind, signed readings only. Coordinates are in mm along the film's own axes. The ICC depends on how much the films differ.",
    ),
  );
  show();
  return backKey();
}
