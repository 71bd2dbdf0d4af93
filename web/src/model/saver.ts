/** Saves each change at once, tries again when the server is away, and stops when somebody else saved meanwhile. */

import { Conflict, Unreachable } from "../api";
import type { Content, Revision } from "../types";
import { sameContent } from "./points";

export type Saving =
  | { is: "saved" }
  | { is: "saving" }
  | { is: "waiting"; why: string }
  | { is: "refused"; why: string }
  | { is: "conflict"; theirs: Revision };

/** Where unsaved work survives the end of the page. */
export interface Backup {
  /** Keep the changed content, and the revision that was changed: without it nobody can tell what is mine. */
  keep(base: Revision, content: Content): void;
  clear(): void;
}

export interface Server {
  save(based_on: number, reviewer: string, content: Content): Promise<Revision>;
  sign(based_on: number, reviewer: string): Promise<Revision>;
}

const SECONDS = [1, 2, 4, 8, 15];

export class Saver {
  private wanted: Content | null = null;
  private running: Promise<void> | null = null;
  private tries = 0;
  private wake: (() => void) | null = null;
  private stopped = false;
  state: Saving = { is: "saved" };

  constructor(
    private readonly server: Server,
    private readonly backup: Backup,
    private readonly reviewer: () => string,
    public base: Revision,
    private readonly told: (state: Saving, revision: Revision) => void,
  ) {}

  get unsaved(): boolean {
    return this.wanted !== null;
  }

  /** Save this content; what is not sent yet is replaced by it. */
  put(content: Content): void {
    this.wanted = content;
    this.backup.keep(this.base, content);
    if (this.state.is === "conflict") return;
    this.start();
  }

  /** Try now instead of later, such as when the network is back. */
  retry(): void {
    this.tries = 0;
    this.wake?.();
  }

  /** End the tries, such as when the page shows another film. */
  stop(): void {
    this.stopped = true;
    this.wake?.();
  }

  /** Wait until all is saved; false when it could not be. */
  async settled(): Promise<boolean> {
    if (this.state.is === "waiting") this.retry();
    await this.running;
    return !this.unsaved;
  }

  async sign(): Promise<Revision> {
    let signed: Revision;
    try {
      signed = await this.server.sign(this.base.revision, this.reviewer());
    } catch (error) {
      if (error instanceof Conflict) this.tell({ is: "conflict", theirs: error.current });
      throw error;
    }
    this.base = signed;
    this.tell({ is: "saved" });
    return signed;
  }

  /** Go on from somebody else's revision; ``content`` is what I make of both, and is saved where it differs. */
  resolve(theirs: Revision, content: Content): void {
    this.base = theirs;
    this.wanted = null;
    if (sameContent(content, theirs)) {
      this.backup.clear();
      this.tell({ is: "saved" });
      return;
    }
    this.state = { is: "saved" };
    this.put(content);
  }

  private start(): void {
    if (this.running) {
      this.wake?.();
      return;
    }
    this.running = this.run().finally(() => {
      this.running = null;
    });
  }

  private async run(): Promise<void> {
    while (this.wanted !== null && !this.stopped) {
      const sent: Content = this.wanted;
      this.tell({ is: "saving" });
      try {
        this.base = await this.server.save(this.base.revision, this.reviewer(), sent);
        this.done(sent);
      } catch (error) {
        if (error instanceof Conflict) {
          // the answer to an earlier try got lost on its way: it was saved after all
          if (error.current.reviewer === this.reviewer() && sameContent(error.current, sent)) {
            this.base = error.current;
            this.done(sent);
            continue;
          }
          this.tell({ is: "conflict", theirs: error.current });
          return;
        }
        if (!(error instanceof Unreachable)) {
          this.tell({ is: "refused", why: error instanceof Error ? error.message : String(error) });
          return;
        }
        this.tell({ is: "waiting", why: error.message });
        await this.pause(SECONDS[Math.min(this.tries++, SECONDS.length - 1)] ?? 1);
      }
    }
  }

  private done(sent: Content): void {
    this.tries = 0;
    if (this.wanted === sent) {
      this.wanted = null;
      this.backup.clear();
      this.tell({ is: "saved" });
    } else if (this.wanted) {
      this.backup.keep(this.base, this.wanted);
    }
  }

  private pause(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.wake = () => {
        clearTimeout(timer);
        this.wake = null;
        resolve();
      };
    });
  }

  private tell(state: Saving): void {
    this.state = state;
    this.told(state, this.base);
  }
}
