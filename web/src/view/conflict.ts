/** Somebody else saved the same film: both versions side by side and on the film, and a choice for each point. */

import {
  type Difference,
  type Side,
  type Sides,
  differences,
  merged,
  otherCalibration,
  proposedSides,
  reapplied,
} from "../model/merging";
import { contentOf, sameContent } from "../model/points";
import type { Content, Point, Revision, Term } from "../types";
import { h } from "./dom";

interface Listener {
  /** What is to be saved on top of theirs. */
  resolved(theirs: Revision, content: Content): void;
  /** A row was chosen: show this point. */
  looked(symbol: string): void;
  /** Other points count now. */
  changed(): void;
}

/** A point of theirs that differs from mine. */
export interface Rival {
  difference: Difference;
  side: Side;
}

interface Open {
  base: Content;
  mine: Content;
  theirs: Revision;
  sides: { points: Map<string, Side>; calibration: Side; note: Side };
}

function place(point: Point | undefined): string {
  if (point?.source === "absent") return "not on the film";
  if (!point || point.x === null || point.y === null) return "no place";
  // whole pixels: the column beside says how far apart both are, and large films have long numbers
  return `${Math.round(point.x)}, ${Math.round(point.y)}`;
}

function apart({ mine, theirs }: Difference): string {
  if (mine?.x == null || mine.y === null || theirs?.x == null || theirs.y === null) return "";
  return Math.hypot(mine.x - theirs.x, mine.y - theirs.y).toFixed(1);
}

function length({ calibration }: Content): string {
  return calibration ? `${calibration.mm} mm` : "none";
}

function writable(sides: Sides): Open["sides"] {
  return { ...sides, points: new Map(sides.points) };
}

export class ConflictPanel {
  private readonly heading = h("h2", { tabindex: -1, id: "conflict-title" }, "Somebody else saved this film");
  private readonly body = h("div", {});
  readonly element = h(
    "section",
    { class: "versions", id: "conflict", "aria-labelledby": "conflict-title", hidden: true },
    this.heading,
    this.body,
  );
  private open: Open | null = null;

  constructor(
    private readonly terms: Term[],
    private readonly on: Listener,
  ) {}

  /** Show both versions. Choices stay when only mine changed since. */
  show(base: Content, mine: Content, theirs: Revision): void {
    const before = this.open;
    if (before?.theirs.revision === theirs.revision && sameContent(before.mine, mine)) return;
    const proposed = writable(proposedSides(base, mine, this.terms));
    if (before?.theirs.revision === theirs.revision) {
      // a point that moved again since is a new proposal
      const again = new Set(differences(before.mine, mine, this.terms).map((one) => one.symbol));
      for (const [symbol, side] of before.sides.points) if (!again.has(symbol)) proposed.points.set(symbol, side);
      proposed.calibration = before.sides.calibration;
      proposed.note = before.sides.note;
    }
    this.open = { base, mine, theirs, sides: proposed };
    this.draw(this.open);
    this.element.hidden = false;
    if (before === null) this.focus();
  }

  focus(): void {
    this.element.scrollIntoView({ block: "nearest" });
    this.heading.focus();
  }

  close(): void {
    this.open = null;
    this.element.hidden = true;
    this.body.replaceChildren();
  }

  /** Points that differ, and whose counts; empty without a conflict. */
  rivals(mine: Content): Rival[] {
    const { open } = this;
    if (!open) return [];
    return differences(mine, open.theirs, this.terms).map((difference) => ({
      difference,
      side: open.sides.points.get(difference.symbol) ?? "theirs",
    }));
  }

  private draw(open: Open): void {
    const { mine, theirs, sides } = open;
    const who = theirs.reviewer ?? "Somebody";
    const rows = differences(mine, theirs, this.terms).map((one) =>
      this.row(one.symbol, place(one.mine), place(one.theirs), sides.points.get(one.symbol) ?? "theirs", apart(one), {
        chose: (side) => sides.points.set(one.symbol, side),
        looked: () => {
          this.on.looked(one.symbol);
        },
      }),
    );
    if (otherCalibration(mine, theirs)) {
      const chose = (side: Side) => (sides.calibration = side);
      rows.push(this.row("Known length", length(mine), length(theirs), sides.calibration, "", { chose }));
    }
    if (mine.note !== theirs.note) {
      const chose = (side: Side) => (sides.note = side);
      rows.push(this.row("Note", mine.note || "none", theirs.note || "none", sides.note, "", { chose }));
    }
    const head = ["point", "mine", "theirs", "apart, px"].map((text) => h("th", { scope: "col" }, text));
    const button = (value: string, text: string, content: () => Content) =>
      h(
        "button",
        {
          type: "button",
          "data-take": value,
          click: () => {
            this.close();
            this.on.resolved(theirs, content());
          },
        },
        text,
      );
    this.body.replaceChildren(
      h(
        "p",
        {},
        `${who} saved revision ${theirs.revision} in the meantime. Yours is not saved yet; theirs stays on record whatever you choose.`,
      ),
      h(
        "p",
        { class: "legend" },
        "On the film: ",
        h("b", { class: "mine" }, "+ mine"),
        ", ",
        h("b", { class: "theirs" }, "◇ theirs"),
        ".",
      ),
      rows.length
        ? h("table", { class: "compare" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows))
        : h("p", {}, "Both are the same."),
      h(
        "div",
        { class: "row" },
        button("chosen", "Save as chosen", () => merged(mine, theirs, sides, this.terms)),
        button("mine", "Keep mine", () => reapplied(open.base, mine, theirs, this.terms)),
        button("theirs", "Take theirs", () => contentOf(theirs)),
      ),
    );
  }

  private row(
    name: string,
    mine: string,
    theirs: string,
    side: Side,
    distance: string,
    on: { chose: (side: Side) => void; looked?: () => void },
  ): HTMLElement {
    const cell = (which: Side, text: string) => {
      const input = h("input", {
        type: "radio",
        name: `side ${name}`,
        value: which,
        checked: side === which,
        "aria-label": `${name}: ${which}, ${text}`,
      });
      input.addEventListener("change", () => {
        on.chose(which);
        on.looked?.();
        this.on.changed();
      });
      return h("td", {}, h("label", { class: which }, input, text));
    };
    const title = on.looked
      ? h("button", { type: "button", title: "Show on the film", "data-look": name, click: on.looked }, name)
      : name;
    return h(
      "tr",
      { "data-row": name },
      h("th", { scope: "row" }, title),
      cell("mine", mine),
      cell("theirs", theirs),
      h("td", {}, distance),
    );
  }
}
