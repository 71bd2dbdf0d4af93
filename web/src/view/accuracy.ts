/** How far reviewers moved points: what the detector is worth on this clinic's own films. */

import { api } from "../api";
import type { Moved, Session } from "../types";
import { h } from "./dom";
import { type Column, type Shown, SortedTable, backKey, counts, figures, scrolling, shell } from "./pages";

const COLUMNS: Column<Moved>[] = [
  { name: "Landmark", text: (row) => row.symbol },
  counts("Films", "signed films with a scale", (row) => row.films),
  figures("Median, mm", "half of the points were moved by at most this", (row) => row.median_mm),
  figures("95 %, mm", "95 of 100 points were moved by at most this", (row) => row.p95_mm),
  counts("Moved", "points that were moved", (row) => row.moved),
  counts("Taken away", "detected, but not on the film", (row) => row.removed),
  counts("Added", "not detected, placed by a person", (row) => row.added),
  counts("No scale", "films whose scale nobody knows: they do not count in mm", (row) => row.without_scale),
];

export async function accuracyPage(session: Session): Promise<Shown> {
  const rows = await api.accuracy();
  return (root) => {
    const order = new Map(session.vocabulary.map((term, index) => [term.symbol, index]));
    const last = session.vocabulary.length;
    rows.sort((one, two) => (order.get(one.symbol) ?? last) - (order.get(two.symbol) ?? last));
    const table = new SortedTable("Distance between the detected and the signed point", COLUMNS);
    table.show(rows);
    const scaled = rows.some((row) => row.films > 0);
    shell(
      root,
      "How far reviewers moved points",
      h(
        "p",
        {},
        "The distance between the detected point and the point of the last signed revision of each film. A point that nobody moved counts as 0.",
      ),
      rows.length === 0 && h("p", { class: "empty" }, "No film is signed yet."),
      rows.length > 0 &&
        !scaled &&
        h("p", { class: "empty" }, "No signed film has a scale. Calibrate films to see distances in mm."),
      rows.length > 0 && scrolling(table.element, "scrolls narrow"),
      h(
        "p",
        {},
        h("a", { href: "/api/audit.csv", download: "audit.csv" }, "Every change as CSV"),
        " lists each point that a person moved, with the name and the time.",
      ),
    );
    return backKey();
  };
}
