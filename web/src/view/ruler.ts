/** A scale from two places and the length between them. */

import { type Place, distance, length, scaleOf } from "../model/geometry";
import type { Calibration } from "../types";
import { askLength } from "./dialogs";
import { say } from "./dom";

/** What is chosen so far; the cursor is for those who work without a mouse. */
export interface Ruler {
  ends: Place[];
  cursor: Place | null;
}

/** Ask for the length between two ends; null, and a word why, when there is no scale in the answer. */
export async function askCalibration(one: Place, two: Place): Promise<Calibration | null> {
  const typed = await askLength(distance(one, two));
  const mm = typed === null ? null : length(typed);
  const calibration = mm === null ? null : { x1: one.x, y1: one.y, x2: two.x, y2: two.y, mm };
  if (calibration && scaleOf(calibration) !== null) return calibration;
  say(
    typed === null
      ? "Not calibrated."
      : "Not calibrated: type a length in mm, such as 10, between two different places.",
  );
  return null;
}
