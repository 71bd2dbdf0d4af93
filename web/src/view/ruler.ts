/** A scale from two places and the length between them, by mouse, touch or keys. */

import { type Place, distance, length, scaleOf } from "../model/geometry";
import type { Calibration } from "../types";
import { askLength } from "./dialogs";
import { say } from "./dom";

export class Ruler {
  active = false;
  ends: Place[] = [];
  /** for those who work without a mouse */
  cursor: Place | null = null;

  constructor(private readonly measured: (calibration: Calibration) => void) {}

  toggle(): void {
    if (this.active) {
      this.stop();
      return;
    }
    this.active = true;
    say("Click both ends of a known length on the film, or use arrows and Enter.");
  }

  stop(): void {
    this.active = false;
    this.ends = [];
    this.cursor = null;
  }

  /** Set an end. The second one asks for the length. */
  async end(place: Place): Promise<void> {
    this.ends = [...this.ends, place];
    const [one, two] = this.ends;
    if (!one || !two) return;
    this.stop();
    const typed = await askLength(distance(one, two));
    const mm = typed === null ? null : length(typed);
    const calibration = mm === null ? null : { x1: one.x, y1: one.y, x2: two.x, y2: two.y, mm };
    if (calibration && scaleOf(calibration) !== null) this.measured(calibration);
    else
      say(
        typed === null
          ? "Not calibrated."
          : "Not calibrated: type a length in mm, such as 10, between two different places.",
      );
  }
}
