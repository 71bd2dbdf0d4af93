/** A name for each tab that survives a reload and that no other open tab has. */

const KEY = "monai-ceph tab";
const LOCK = "monai-ceph tab ";
/** how long a page that is loaded again waits for the one before it to be gone */
const PATIENCE = 1000;

function made(): string {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Hold a tab's name, until ``release``. Return false when another tab holds it. Browsers know locks only at secure
 * addresses, such as this machine's own; elsewhere every name counts as free, and only the server keeps tabs apart.
 */
async function held(tab: string, wait: number, release: Promise<void>): Promise<boolean> {
  if (!("locks" in navigator)) return true;
  return new Promise((resolve) => {
    const options: LockOptions = wait ? { signal: AbortSignal.timeout(wait) } : { ifAvailable: true };
    const work = async (lock: Lock | null) => {
      resolve(lock !== null);
      if (lock) await release;
    };
    navigator.locks.request(LOCK + tab, options, work).catch(() => {
      resolve(false);
    });
  });
}

async function claimed(): Promise<string> {
  const forever = new Promise<void>(() => undefined);
  const kept = sessionStorage.getItem(KEY);
  // a tab that was duplicated brings the name of the other one
  if (kept !== null && (await held(kept, PATIENCE, forever))) return kept;
  const tab = made();
  sessionStorage.setItem(KEY, tab);
  await held(tab, 0, forever);
  return tab;
}

let own: Promise<string> | null = null;

export function ownTab(): Promise<string> {
  own ??= claimed();
  return own;
}

/** Do something with what another tab left behind, unless that tab is still open. */
export async function ifGone(tab: string, work: () => void): Promise<void> {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  if (await held(tab, 0, released)) work();
  release();
}

const CHANNEL = "monai-ceph saved";

/** Tell the other tabs that a film has a new revision. */
export function announce(film: string, revision: number): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage([film, revision]);
  channel.close();
}

/** Hear what other tabs saved. */
export function heard(signal: AbortSignal, saved: (film: string, revision: number) => void): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }: MessageEvent<[string, number]>) => {
    saved(...data);
  });
  signal.addEventListener("abort", () => {
    channel.close();
  });
}
