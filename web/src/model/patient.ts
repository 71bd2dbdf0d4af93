/** A patient in words. */

import type { Patient } from "../types";

const SEXES: Record<string, string> = { F: "female", M: "male", O: "other sex" };

/** Name, id, birth date and sex, as far as they are known; a name in the order of DICOM, family name first. */
export function patientText({ name, id, birth_date, sex }: Patient): string {
  // DICOM parts a name by carets, and its scripts by equals signs
  const read = (name.split("=")[0] ?? "").split("^").filter(Boolean).join(" ");
  const born = birth_date.replace(/^(\d{4})(\d{2})(\d{2})$/, "$1-$2-$3");
  return [read, id, born, SEXES[sex] ?? sex].filter(Boolean).join(" · ");
}
