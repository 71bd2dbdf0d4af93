/** Two people saved the same film: compare, then take one side. */

import { differences } from "../model/points";
import type { Content, Point, Revision, Term } from "../types";
import { ask } from "./dialogs";
import { h } from "./dom";

function place(point: Point | undefined): string {
  if (point?.source === "absent") return "not on the film";
  if (!point || point.x === null || point.y === null) return "no place";
  return `${point.x.toFixed(1)}, ${point.y.toFixed(1)}`;
}

function apart(mine: Point | undefined, theirs: Point | undefined): string {
  if (mine?.x == null || mine.y === null || theirs?.x == null || theirs.y === null) return "";
  return `${Math.hypot(mine.x - theirs.x, mine.y - theirs.y).toFixed(1)} px`;
}

export async function askConflict(mine: Content, theirs: Revision, terms: Term[]): Promise<"mine" | "theirs" | ""> {
  const rows = differences(mine, theirs, terms).map((one) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, one.symbol),
      h("td", {}, place(one.mine)),
      h("td", {}, place(one.theirs)),
      h("td", {}, apart(one.mine, one.theirs)),
    ),
  );
  const head = ["point", "mine", "theirs", "apart"].map((text) => h("th", { scope: "col" }, text));
  const body = [
    h(
      "p",
      {},
      `${theirs.reviewer ?? "Somebody"} saved revision ${theirs.revision} of this film meanwhile. Yours is not saved yet; theirs stays on record whatever you choose.`,
    ),
    rows.length
      ? h("table", { class: "compare" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows))
      : h("p", {}, "All points are the same."),
  ];
  const answer = await ask("Somebody else saved this film", body, [
    { value: "mine", text: "Put my changes on top" },
    { value: "theirs", text: "Take theirs" },
    { value: "", text: "Decide later" },
  ]);
  return answer === "mine" || answer === "theirs" ? answer : "";
}
