/** The parts of the film page, without their behaviour. */

import { scaleOf } from "../model/geometry";
import { patientText } from "../model/patient";
import type { Saving } from "../model/saver";
import type { Content, Film, Revision, Session, Term } from "../types";
import { h } from "./dom";

type Click =
  "undo" | "redo" | "absent" | "asDetected" | "place" | "calibrate" | "fit" | "sign" | "worklist" | "help" | "center";

export interface Shown {
  content: Content;
  chosen: Term | null;
  doubtful: number;
  canUndo: boolean;
  canRedo: boolean;
  calibrating: boolean;
}

export interface Frame {
  element: HTMLElement;
  stage: HTMLElement;
  holder: HTMLElement;
  bar: HTMLElement;
  /** the first thing beside the film: what a person must not miss */
  top: HTMLElement;
  points: HTMLElement;
  measurements: HTMLElement;
  tools: HTMLElement;
  note: HTMLTextAreaElement;
  draw: (shown: Shown) => void;
  saving: (state: Saving, revision: Revision) => void;
  reviewer: (name: string) => void;
  /** why the measurements are not those of the points; empty if they are */
  measured: (trouble: string) => void;
  problem: (text: string) => void;
}

interface Handlers {
  note: (value: string) => void;
  who: () => void;
  clicked: (name: Click) => void;
  next: () => void;
  retry: () => void;
}

export function filmFrame(film: Film, session: Session, on: Handlers): Frame {
  const button = (name: Click, text: string, title: string, id: string = name) =>
    h(
      "button",
      {
        type: "button",
        id,
        title,
        click: () => {
          on.clicked(name);
        },
      },
      text,
    );
  const undo = button("undo", "Undo", "Ctrl+z");
  const redo = button("redo", "Redo", "Ctrl+Shift+z");
  const absentButton = button("absent", "Not on the film", "x", "absent");
  const detectedButton = button("asDetected", "As detected", "r", "as-detected");
  const placeButton = button("place", "Place", "p");
  const centerButton = button("center", "Centre", "c");
  const calibrate = button("calibrate", "Calibrate", "k");
  const sign = button("sign", "Sign", "Ctrl+Enter");
  sign.className = "main";
  const next = h("button", { type: "button", id: "next", title: "]", click: on.next }, "Next film");
  const who = h("button", { type: "button", id: "who", title: "Change the name", click: on.who });
  const state = h("span", { id: "state", class: "chip" });
  const saved = h("button", { type: "button", id: "saved", class: "saved", click: on.retry });
  const trouble = h("p", { class: "bad", role: "alert", id: "problem" });
  const info = h("p", { class: "info" });
  const scale = h("p", { class: "scale", id: "scale" });
  const top = h("div", {});
  const stage = h("div", {
    class: "stage",
    id: "stage",
    tabindex: 0,
    role: "application",
    "aria-label": `Film ${film.film}. Press question mark for the keys.`,
  });
  const points = h("section", {});
  const notMeasured = h("p", { class: "bad" });
  const measurements = h("section", { class: "measured", "aria-label": "Measurements", tabindex: 0 }, notMeasured);
  const tools = h("section", { class: "tools", "aria-label": "Display" });
  const note = h("textarea", { id: "note", rows: 2, "aria-label": "Note", placeholder: "Note" });
  note.value = film.review.note;
  note.addEventListener("change", () => {
    on.note(note.value);
  });
  const details = (title: string, open: boolean, ...children: Node[]) =>
    h("details", { open }, h("summary", {}, title), ...children);
  let newest = film.review.revision;
  const bar = h(
    "div",
    { class: "bar" },
    placeButton,
    absentButton,
    detectedButton,
    centerButton,
    button("fit", "Whole film", "0"),
    calibrate,
  );
  const holder = h("div", { class: "holder" }, stage, bar);
  const element = h(
    "main",
    { class: "film" },
    h(
      "header",
      {},
      button("worklist", "Worklist", "w"),
      h("h1", {}, film.film),
      film.patient && h("span", { class: "patient" }, patientText(film.patient)),
      session.blind && h("span", { class: "chip" }, "blind reading"),
      state,
      saved,
      h("span", { class: "space" }),
      undo,
      redo,
      who,
      sign,
      next,
      button("help", "?", "Keys", "help"),
    ),
    h(
      "div",
      { class: "desk" },
      holder,
      h(
        "aside",
        { "aria-label": "Review" },
        trouble,
        top,
        ...film.warnings.map((warning) => h("p", { class: "warning" }, warning)),
        info,
        points,
        details("Measurements", true, measurements, scale),
        details("Display", true, tools),
        details("Note and history", false, note, historyList(film)),
        h("p", { class: "small" }, "Research use, not a medical device; a trained person reviews every result."),
      ),
    ),
  );
  let drawn = "";
  const history = element.querySelector(".history");
  return {
    element,
    stage,
    holder,
    bar,
    top,
    points,
    measurements,
    tools,
    note,
    draw({ content, chosen, doubtful, canUndo, canRedo, calibrating }) {
      const scaled = content.calibration && { ...content.calibration, own: scaleOf(content.calibration) };
      const now = JSON.stringify([scaled, chosen?.symbol, doubtful, canUndo, canRedo, calibrating]);
      // a point that moves asks for this at every step
      if (now === drawn) return;
      drawn = now;
      undo.disabled = !canUndo;
      redo.disabled = !canRedo;
      for (const one of [absentButton, detectedButton, placeButton, centerButton]) one.disabled = !chosen;
      calibrate.setAttribute("aria-pressed", String(calibrating));
      stage.classList.toggle("calibrating", calibrating);
      const todo = doubtful
        ? `${doubtful} doubtful ${doubtful === 1 ? "point" : "points"} left (n)`
        : "No doubtful point left";
      info.replaceChildren(
        calibrating
          ? "Click both ends of a known length, such as 10 mm of the ruler."
          : chosen
            ? h("span", {}, h("b", {}, `${chosen.symbol} ${chosen.name}`), `: ${chosen.definition}`)
            : "Choose a point to move it.",
        h("br"),
        h("small", { id: "todo" }, todo),
      );
      const known = film.pixel_spacing
        ? `Scale ${film.pixel_spacing[1].toFixed(4)} mm per pixel${film.spacing_source ? ` (${film.spacing_source})` : ""}`
        : "No scale: lengths need a calibration";
      const by = scaled?.by ?? session.reviewer ?? who.textContent;
      scale.textContent = scaled?.own ? `Scale ${scaled.own.toFixed(4)} mm per pixel, calibrated by ${by}` : known;
    },
    saving(saving, revision) {
      state.textContent = { open: "open", draft: "DRAFT", final: "FINAL" }[revision.state];
      state.className = `chip ${revision.state}`;
      if (revision.revision > newest) {
        newest = revision.revision;
        history?.append(historyLine({ ...revision, changes: null }));
      }
      sign.disabled = revision.state === "final" && saving.is === "saved";
      next.classList.toggle("main", sign.disabled);
      const words = {
        saved: revision.revision ? `Saved, revision ${revision.revision}` : "As detected",
        saving: "Saving…",
        waiting: "Not saved, trying again",
        refused: "Not saved: try again",
        conflict: "Not saved: compare",
      };
      saved.textContent = words[saving.is];
      saved.className = `saved ${saving.is}`;
      saved.disabled = saving.is === "saved" || saving.is === "saving";
      trouble.textContent =
        saving.is === "waiting" || saving.is === "refused"
          ? `Your changes are kept here but not saved. ${saving.why}`
          : "";
    },
    reviewer(name) {
      who.textContent = name || "Your name?";
      sign.setAttribute("aria-label", `Sign as ${name}`);
    },
    measured(trouble) {
      if (notMeasured.textContent !== trouble) notMeasured.textContent = trouble;
    },
    problem(text) {
      trouble.textContent = text;
    },
  };
}

type HistoryLine = Omit<Film["history"][number], "changes"> & { changes: number | null };

function historyLine({ revision, reviewer, state, changes, saved_at }: HistoryLine): HTMLElement {
  const parts = [
    `${revision}: ${reviewer ?? "detection"}`,
    state,
    changes === null ? "" : `${changes} changed`,
    saved_at ? new Date(saved_at).toLocaleString() : "",
  ];
  return h("li", {}, parts.filter(Boolean).join(", "));
}

function historyList(film: Film): HTMLElement {
  return h("ol", { class: "history" }, ...film.history.map(historyLine));
}
