/** What became of the results after the signature: sent, on their way, or refused. */

import { api } from "../api";
import type { Delivery, SentObject } from "../types";
import { h } from "./dom";

const KINDS = {
  sr: "structured report",
  gsps: "presentation state",
  pdf: "report as PDF",
  sc: "picture",
  fhir: "measurements (FHIR)",
};
const STATES = { waiting: "waiting", sent: "sent", refused: "refused" };
const SUMMARY: Record<Delivery["state"], string> = {
  off: "",
  none: "Not sent yet.",
  impossible: "Nothing can be sent for this film.",
  waiting: "On its way…",
  sent: "Sent: every target has confirmed everything.",
  failed: "Not all was sent. What is missing is kept.",
};
const QUICK_MS = 1000;
const SLOW_MS = 10_000;
/** a target that did not answer for so many times may be away for long */
const QUICK_TRIES = 30;

export class DeliveryPanel {
  readonly element = h("section", { class: "delivery", "aria-label": "Sending", hidden: true });
  private readonly summary = h("p", { id: "delivery", role: "status" });
  private timer = 0;
  private tries = 0;
  private gone = false;

  constructor(
    private readonly film: string,
    private readonly changed: (delivery: Delivery) => void,
  ) {}

  /** Show what is known, and what becomes of it. */
  begin(delivery: Delivery): void {
    this.show(delivery);
    if (moves(delivery)) void this.follow();
  }

  /** Look until nothing is on its way. */
  async follow(): Promise<void> {
    this.tries = 0;
    await this.ask(() => api.delivery(this.film));
  }

  private async ask(question: () => Promise<Delivery>): Promise<void> {
    clearTimeout(this.timer);
    let on = true;
    try {
      const delivery = await question();
      if (this.gone) return;
      this.show(delivery);
      on = moves(delivery);
    } catch (error) {
      if (this.gone) return;
      this.element.hidden = false;
      const why = error instanceof Error ? error.message : String(error);
      this.summary.textContent = `Nobody knows whether it was sent. ${why}`;
      this.element.replaceChildren(this.summary);
    }
    if (!on) return;
    const pause = this.tries++ < QUICK_TRIES ? QUICK_MS : SLOW_MS;
    this.timer = window.setTimeout(() => void this.ask(() => api.delivery(this.film)), pause);
  }

  private show(delivery: Delivery): void {
    const { state, notes, objects } = delivery;
    this.element.hidden = state === "off" || (state === "none" && delivery.revision === null);
    this.summary.className = state === "failed" ? "bad" : state === "sent" ? "final" : "";
    if (this.summary.textContent !== SUMMARY[state]) this.summary.textContent = SUMMARY[state];
    const sendable = delivery.revision !== null && (state === "none" || state === "failed" || state === "waiting");
    const click = () => {
      this.tries = 0;
      void this.ask(() => api.send(this.film));
    };
    const text = state === "none" ? "Send" : "Send again";
    this.element.replaceChildren(
      this.summary,
      ...notes.map((note) => h("p", { class: "small" }, note)),
      ...(objects.length ? [h("ul", {}, ...objects.map(line))] : []),
      ...(sendable ? [h("button", { type: "button", id: "send", click }, text)] : []),
    );
    this.changed(delivery);
  }

  destroy(): void {
    this.gone = true;
    clearTimeout(this.timer);
  }
}

/** Whether something is still tried, also after a failure. */
function moves({ state, objects }: Delivery): boolean {
  return state === "waiting" || objects.some((one) => one.state === "waiting");
}

function line({ kind, target, state, answer }: SentObject): HTMLElement {
  const said = state === "sent" || !answer ? "" : `: ${answer}`;
  return h("li", { class: state === "refused" ? "bad" : "" }, `${KINDS[kind]} to ${target}: ${STATES[state]}${said}`);
}
